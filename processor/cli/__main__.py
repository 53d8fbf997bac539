"""`python -m processor.cli`."""

from processor.cli import main

if __name__ == "__main__":
    main()
