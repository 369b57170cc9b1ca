"""`python -m edgec` is the program `edgec`."""

from edgec.console_script import main

if __name__ == "__main__":
    main()
