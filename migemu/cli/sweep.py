"""``migemu sweep``."""
import click
@click.command()
def sweep() -> None:
    """(being written)"""
