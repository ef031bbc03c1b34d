"""`python -m load_tests`: see load_tests/command.py."""

from load_tests.command import main

main()
