"""The laboratory: compare, sweep, explore, replay."""
