"""Where commands print: the terminal at its width, or a file at one that fits every table."""

import sys

from rich.console import Console

WIDTH_OF_A_FILE = 120


def console() -> Console:
    """Standard output."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
