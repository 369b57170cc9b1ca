"""`python -m pipeline` is the program `edgec`."""

from pipeline.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
