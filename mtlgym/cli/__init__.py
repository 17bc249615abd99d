"""The command line: a command a file, `main` puts them together."""

from mtlgym.cli.main import main

__all__ = ["main"]
