"""Tests, in the folders of what they test; helpers stand beside the tests that use them."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def module_command(name: str, *arguments: object) -> list[str]:
    """What runs a module of these tests as a script, with `cwd=ROOT`."""
    return [sys.executable, "-m", name, *map(str, arguments)]
