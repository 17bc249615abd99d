"""The versions that a result was made with."""

from functools import cache
from importlib.metadata import version

from mtlgym import __version__

PACKAGES = (
    "cma",
    "gymnasium",
    "numpy",
    "scikit-learn",
    "scipy",
    "stable-baselines3",
    "tokenizers",
    "torch",
    "torch-geometric",
    "transformers",
)


@cache
def versions() -> dict[str, str]:
    """The installed version of each package that results depend on."""
    return {"mtlgym": __version__, **{package: version(package) for package in PACKAGES}}
