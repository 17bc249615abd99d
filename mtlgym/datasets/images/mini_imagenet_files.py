"""Where mini-ImageNet's images are, and of which class: folders a class, or lists."""

import csv
from collections.abc import Iterator
from pathlib import Path

from mtlgym.datasets import sources
from mtlgym.datasets.formats.image_cache import SUFFIXES

PARTS = ("train", "val", "test")
COLUMNS = ["filename", "label"]


def find(folder: Path) -> dict[str, list[Path]]:
    """The images of each class, both in sorted order.

    Read are the lists `train.csv`, `val.csv` and `test.csv` beside a folder `images`, if there is
    one of them; else folders `{train,val,test}/<class>`, if there is `train`; else `<class>`.

    Raises:
        ValueError: for a list of another form, a file that is listed twice, or a class without
            images; names it.
        FileNotFoundError: if there is no image, or a list or listed file is missing; names it.
    """
    if any((folder / f"{part}.csv").exists() for part in PARTS):
        pairs = list(_listed(folder))
    elif (folder / PARTS[0]).is_dir():
        pairs = [pair for part in PARTS for pair in _in_folders(folder / part)]
    else:
        pairs = list(_in_folders(folder))
    found: dict[str, list[Path]] = {}
    for label, path in pairs:
        found.setdefault(label, []).append(path)
    if not found:
        text = f"no image in {folder}. {sources.DATASETS['mini_imagenet'].remedy}"
        raise FileNotFoundError(text)
    return {label: sorted(found[label]) for label in sorted(found)}


def _in_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Class and path of each image in the folder's folders."""
    if not folder.is_dir():
        return
    for place in folder.iterdir():
        if place.is_dir() and not place.name.startswith("."):
            images = [path for path in place.iterdir() if path.suffix.lower() in SUFFIXES]
            if not images:
                raise ValueError(f"the class {place.name!r} has no image in {place}")
            yield from ((place.name, path) for path in images)


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Class and path of each image in the lists."""
    first: dict[str, str] = {}
    for part in PARTS:
        path = folder / f"{part}.csv"
        for number, (name, label) in _rows(path):
            image, where = folder / "images" / name, f"{path}, line {number}"
            if name in first:
                raise ValueError(f"{where}: {name} is listed before, in {first[name]}")
            if not image.is_file():
                raise FileNotFoundError(f"{where}: {image} is missing")
            first[name] = where
            yield label, image


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row of a list below its header."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. {sources.DATASETS['mini_imagenet'].remedy}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if reader.line_num == 1 and row != COLUMNS:
                    raise ValueError(f"line 1 must be {','.join(COLUMNS)}, not {','.join(row)}")
                if row and (len(row) != len(COLUMNS) or not all(row)):
                    raise ValueError(f"line {reader.line_num} must be a file's name and a label")
                if row and reader.line_num > 1:
                    yield reader.line_num, row
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged, or no such list: {error}") from error
