"""The versions that a result was made with."""

from importlib.metadata import version

PACKAGES = (
    "mtlgym",
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


def versions() -> dict[str, str]:
    """The installed version of each package that results depend on."""
    return {package: version(package) for package in PACKAGES}
