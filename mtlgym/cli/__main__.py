"""Runs the command line as a module: `python -m mtlgym.cli`, `torchrun -m mtlgym.cli`."""

import sys

from mtlgym.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
