"""``python -m migemu`` is the same program as ``migemu``."""

from migemu.cli import main

if __name__ == "__main__":
    main()
