"""`python -m shoebox`: the command line, where no `shoebox` is installed."""

from shoebox.cli import main

if __name__ == "__main__":
    main()
