"""The images of one domain: one folder for each class, or lists of paths and labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.domains.domains import align
from mtlgym.datasets.domains.paths import exactly, matching
from mtlgym.datasets.formats.image_cache import SUFFIXES

LIST = ".txt"
PARTS = ("train", "test")  # ends of the names of two lists that are read together
ENDS = (*PARTS, "list")  # that may follow the domain in a list's name


@dataclass(frozen=True, eq=False)
class ImageList:
    """Image files and their classes.

    Attributes:
        paths: of the files, each once.
        labels: places in `classes`, (images,).
        classes: their names; every class has an image.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def find_all(folder: Path, domains: Mapping[str, Sequence[str]]) -> dict[str, ImageList]:
    """The images of every domain, all of which have the same classes.

    Args:
        folder: of the data set.
        domains: how each may be called.

    Raises:
        ValueError: as `find`, or if a domain's classes are not those of the first one; names it.
        FileNotFoundError: as `find`.
    """
    found = {domain: find(folder, spellings) for domain, spellings in domains.items()}
    align(  # any features will do
        {name: np.zeros((len(each.paths), 1), np.float32) for name, each in found.items()},
        {name: each.labels for name, each in found.items()},
        {name: each.classes for name, each in found.items()},
    )
    return found


def find(folder: Path, spellings: Sequence[str]) -> ImageList:
    """The images of a domain: those in its list or lists, else those in its folder.

    Args:
        folder: of the data set. A list is called as the domain, as it and `list`, or as it and
            `train` or `test`, of which both are read; its paths are relative to this folder. Other
            text files, as `<domain>_license.txt`, are passed over.
        spellings: how the domain may be called; see `domain_paths.matching`.

    Raises:
        ValueError: if several folders or lists could be the domain's, or one is of another form;
            names them.
        FileNotFoundError: if there is neither, or a file is missing; names what is expected.
    """
    there = list(folder.iterdir())
    texts = [path for path in there if path.suffix.lower() == LIST and path.is_file()]
    ended = [f"{spelling} {end}" for spelling in spellings for end in ENDS]
    lists = exactly(texts, spellings) or exactly(texts, ended)
    places = matching([path for path in there if path.is_dir()], spellings)
    if lists:
        return listed(folder, _chosen(lists))
    if len(places) > 1:
        names = ", ".join(path.name for path in places)
        raise ValueError(f"domain {spellings[0]!r} must have one folder in {folder}, not {names}")
    if not places:
        wanted = f"a folder {spellings[0]}/<class> of images, or a list {spellings[0]}{LIST}"
        raise FileNotFoundError(f"no images of domain {spellings[0]!r} in {folder}: {wanted}")
    return in_folders(places[0])


def in_folders(place: Path) -> ImageList:
    """The images in the folders of a domain's folder, or of the folder `images` in it.

    A class is a folder. Classes and images are in sorted order; hidden folders, and files that are
    no .jpg, .jpeg or .png, are passed over.

    Raises:
        ValueError: for a class without an image; names it.
        FileNotFoundError: if there is no class.
    """
    inner = place / "images"
    place = inner if inner.is_dir() else place
    folders = [each for each in place.iterdir() if each.is_dir() and not each.name.startswith(".")]
    pairs = []
    for each in sorted(folders):
        images = sorted(path for path in each.iterdir() if path.suffix.lower() in SUFFIXES)
        if not images:
            wanted = ", ".join(SUFFIXES)
            raise ValueError(f"class {each.name!r} must have an image ({wanted}) in {each}")
        pairs += [(path, each.name) for path in images]
    if not pairs:
        raise FileNotFoundError(f"no class in {place}: a folder of images each is wanted")
    return _images(pairs, sorted({label for _, label in pairs}))


def listed(folder: Path, lists: Sequence[Path]) -> ImageList:
    """The images in the lists, in their order.

    A line is a path, relative to the folder, and a label; a path may hold spaces, a label may not.
    The labels are the classes' names, sorted as numbers if all are.

    Raises:
        ValueError: for a line of another form, a path that leaves the folder or is listed twice,
            or lists without a line; names list and line.
        FileNotFoundError: if an image is missing; names list and line.
    """
    first: dict[Path, str] = {}
    pairs = []
    for each in lists:
        for where, path, label in _lines(folder, each):
            if path in first:
                raise ValueError(f"{where}: {path} is listed before, in {first[path]}")
            first[path] = where
            pairs.append((path, label))
    if not pairs:
        names = ", ".join(str(each) for each in lists)
        raise ValueError(f"{names} must have a line `path label` an image, and has none")
    labels = {label for _, label in pairs}
    numbers = all(label.isdecimal() for label in labels)
    return _images(pairs, sorted(labels, key=lambda label: (int(label) if numbers else 0, label)))


def _chosen(lists: Sequence[Path]) -> list[Path]:
    """The one list, or those of both parts, training first."""
    if len(lists) == 1 and not lists[0].stem.lower().endswith(PARTS):
        return list(lists)
    parts = [[path for path in lists if path.stem.lower().endswith(part)] for part in PARTS]
    if [len(part) for part in parts] != [1, 1] or len(lists) != 2:
        names = ", ".join(path.name for path in lists)
        raise ValueError(
            f"a domain must have one list, or one that ends in {PARTS[0]} and one in {PARTS[1]}, "
            f"in {lists[0].parent}, not {names}"
        )
    return [path for part in parts for path in part]


def _lines(folder: Path, path: Path) -> Iterator[tuple[str, Path, str]]:
    """Place, path and label of each line that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8: {error}") from error
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        name, *rest = line.strip().rsplit(maxsplit=1)
        if not rest:
            raise ValueError(f"{where}: a path and a label are wanted, not {line!r}")
        inside = PurePosixPath(name.replace("\\", "/"))
        if inside.is_absolute() or PureWindowsPath(name).anchor or ".." in inside.parts:
            raise ValueError(f"{where}: a path inside {folder} is wanted, not {name!r}")
        if inside.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{where}: an image ({', '.join(SUFFIXES)}) is wanted, not {name!r}")
        if not (folder / inside).is_file():
            raise FileNotFoundError(f"{where}: {folder / inside} is missing")
        yield where, folder / inside, rest[0]


def _images(pairs: Sequence[tuple[Path, str]], classes: Sequence[str]) -> ImageList:
    place = {name: at for at, name in enumerate(classes)}
    labels = np.array([place[label] for _, label in pairs], np.int64)
    return ImageList(tuple(path for path, _ in pairs), labels, tuple(classes))
