"""The command line: `commproc`, also `python -m processor.cli`."""

from processor.cli.app import app


def main() -> None:
    """Run the command that the arguments name."""
    app()
