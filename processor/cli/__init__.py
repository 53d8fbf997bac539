"""The command line: `commproc`, also `python -m processor.cli`."""

import sys

from processor.cli.app import app_for


def main() -> None:
    """Run the command that the arguments name."""
    app_for(sys.argv[1:])()
