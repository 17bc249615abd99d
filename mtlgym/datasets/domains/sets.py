"""Benchmarks whose tasks are domains of one label space, from files of features or embedded emoji.

Source: the four benchmarks of Shen, Zhen, Worring, Shao (NeurIPS 2021), "Variational multi-task
learning with Gumbel-softmax priors".
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtlgym.datasets import sources
from mtlgym.datasets.domains import emoji
from mtlgym.datasets.domains import files as domain_files
from mtlgym.datasets.domains import paths as domain_paths
from mtlgym.datasets.domains.domains import Domains, align
from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.formats.image_cache import SUFFIXES, decode
from mtlgym.lookup import lookup

__all__ = ["DOMAIN_SETS", "DomainSet", "load", "verify"]


@dataclass(frozen=True)
class DomainSet:
    """The domains of a benchmark and the spellings of their names.

    Attributes:
        domains: how files and folders of each domain may be called; case, spaces, dashes and
            underscores do not count.
        classes: their names in the order of bare labels; empty where these are the names.
    """

    domains: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...] = ()


DOMAIN_SETS = {
    "office_home": DomainSet(
        {
            "art": ("art",),
            "clipart": ("clipart", "clip art"),
            "product": ("product",),
            "real_world": ("real world", "real"),
        }
    ),
    "office_caltech": DomainSet(
        {
            "amazon": ("amazon",),
            "webcam": ("webcam",),
            "dslr": ("dslr",),
            "caltech": ("caltech", "caltech10", "caltech256"),
        },
        (
            "back_pack",
            "bike",
            "calculator",
            "headphones",
            "keyboard",
            "laptop_computer",
            "monitor",
            "mouse",
            "mug",
            "projector",
        ),
    ),
    "imageclef": DomainSet(
        {
            "caltech": ("caltech", "caltech256", "c", "clist"),
            "imagenet": ("imagenet", "ilsvrc2012", "i", "ilist"),
            "pascal": ("pascal", "voc2012", "p", "plist"),
            "bing": ("bing", "b", "blist"),
        }
    ),
    "domainnet": DomainSet(
        {
            name: (name,)
            for name in ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
        }
    ),
}


def load(name: str, data: str = "auto", features: str = "auto") -> tuple[Domains, sources.Source]:
    """The domains of a benchmark as features, or embedded emoji; and where they come from.

    The source's SHA-256 is that of the names within the folder and the SHA-256s of what was read.

    Args:
        name: of the benchmark, a key of `DOMAIN_SETS`.
        data: "auto", "real" or "embedded"; see `sources.choose`.
        features: of the real data. "files" for feature files in the benchmark's folder (see
            `domain_files.read`), the name of a folder in its folder `features` for those that
            `mtlgym data features` computed from images, or "auto" for files if there are some,
            else the only such folder. Embedded data take only "auto".

    Raises:
        ValueError: for another mode or name, a damaged file, bare labels out of range, domains
            with other classes than the first one's, "auto" features that could be several, or
            other features of embedded data; names them.
        FileNotFoundError: for "real" without the files, without features, or without those of a
            domain; says how to get them.
    """
    chosen = lookup(DOMAIN_SETS, name, "domain set")
    folder = sources.choose(data, name)
    if folder is None:
        if features != "auto":
            text = "'auto' with embedded data, which have features of their own"
            raise ValueError(f"`features` must be {text}, not {features!r}")
        return emoji.load(name)
    place, paths = domain_paths.choose(folder, chosen.domains, features)
    domains = _read(chosen, paths, place != folder)
    return domains, sources.Source(name, "real", place, _digest(folder, paths))


def verify(folder: Path) -> None:
    """Read all features in a benchmark's folder, cached ones too, and decode all images.

    Args:
        folder: called as the benchmark, a key of `DOMAIN_SETS`.

    Raises:
        ValueError: for another name, or the first file that is damaged; names it.
        FileNotFoundError: if the labels beside a `.npy` file are missing.
    """
    chosen = lookup(DOMAIN_SETS, folder.name, "domain set")
    found = domain_paths.feature_files(folder, chosen.domains)
    if found:
        _read(chosen, found, False)
    for place in domain_paths.caches(folder).values():
        paths = {domain: place / f"{domain}.npz" for domain in chosen.domains}
        _read(chosen, {domain: path for domain, path in paths.items() if path.exists()}, True)
    folders = [path for path in folder.iterdir() if path.is_dir()]
    for spellings in chosen.domains.values():
        for place in domain_paths.matching(folders, spellings):
            for path in sorted(place.rglob("*")):
                if path.suffix.lower() in SUFFIXES:
                    decode(path, 1)


def _read(chosen: DomainSet, paths: Mapping[str, Path], cached: bool) -> Domains:
    """The domains that these files hold; `cached` ones have their SHA-256 beside them."""
    read = domain_files.read_checked if cached else domain_files.read
    samples = {domain: read(path) for domain, path in paths.items()}
    return align(
        {domain: each.features for domain, each in samples.items()},
        {domain: each.labels for domain, each in samples.items()},
        {domain: _named(chosen, domain, each.classes) for domain, each in samples.items()},
    )


def _named(chosen: DomainSet, domain: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes' names, where the labels are bare numbers and the names are known.

    The numbers count from 0 if there is a label 0, else from 1; not all need be there.

    Raises:
        ValueError: for a number that has no name; names the domain and the number.
    """
    count = len(chosen.classes)
    if not count or not all(re.fullmatch("-?[0-9]+", each) for each in classes):
        return classes
    numbers = [int(each) for each in classes]
    first = 0 if 0 in numbers else 1
    outside = [each for each in numbers if not 0 <= each <= count]
    if outside or first + count in numbers:
        said = outside[0] if outside else f"from 0 to {count}"
        ranges = f"from 0 to {count - 1} or from 1 to {count}"
        raise ValueError(f"labels of domain {domain!r} must be {ranges}, not {said}")
    return tuple(chosen.classes[each - first] for each in numbers)


def _digest(folder: Path, paths: Mapping[str, Path]) -> str:
    """The SHA-256 of the names within the folder and the SHA-256s of all files that are read."""
    files = [file for path in paths.values() for file in domain_files.files(path)]
    lines = (f"{file.relative_to(folder).as_posix()} {sha256(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
