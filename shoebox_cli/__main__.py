"""`python -m shoebox_cli`: the command line, where no `shoebox` is installed."""

from shoebox_cli import main

if __name__ == "__main__":
    main()
