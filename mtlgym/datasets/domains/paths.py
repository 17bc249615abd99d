"""Search for the features of each domain in a data set's folder."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mtlgym.datasets.domains.files import SUFFIXES
from mtlgym.lookup import unknown

CACHES = "features"  # the folder of cached features, in the data set's folder; one folder a cache
FILES = "files"  # the choice of feature files in the data set's folder itself

Spellings = Mapping[str, Sequence[str]]  # of each domain


def matching(paths: Iterable[Path], spellings: Sequence[str]) -> list[Path]:
    """The files or folders whose name matches one of the spellings, sorted.

    Case, spaces, dashes and underscores do not count, nor does a file's suffix. A path whose whole
    name is a spelling is preferred; else its first words may be one, as in `amazon_SURF_L10.mat`.
    """
    known = {_letters(each) for each in spellings}
    found = sorted(paths)
    beginning = [path for path in found if not known.isdisjoint(_beginnings(path.stem))]
    return exactly(found, spellings) or beginning


def exactly(paths: Iterable[Path], spellings: Sequence[str]) -> list[Path]:
    """The files or folders whose whole name is one of the spellings, sorted; see `matching`."""
    known = {_letters(each) for each in spellings}
    return [path for path in sorted(paths) if _letters(path.stem) in known]


def feature_files(folder: Path, domains: Spellings) -> dict[str, Path]:
    """The feature file in the folder of each domain that has one.

    Raises:
        ValueError: if a domain has several; names them.
    """
    there = [path for path in folder.iterdir() if _holds_features(path)]
    found = {}
    for domain, spellings in domains.items():
        paths = matching(there, spellings)
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise ValueError(f"domain {domain!r} must have one feature file in {folder}: {names}")
        if paths:
            found[domain] = paths[0]
    return found


def caches(folder: Path) -> dict[str, Path]:
    """The folders of cached features in a data set's folder, by name."""
    places = sorted((folder / CACHES).glob("*"))
    return {place.name: place for place in places if any(place.glob("*.npz"))}


def choose(folder: Path, domains: Spellings, features: str) -> tuple[Path, dict[str, Path]]:
    """The folder that is read, and the file of each domain in it.

    Args:
        folder: of the data set.
        domains: the spellings of each domain.
        features: "files" for feature files in the folder itself, the name of a cache, or "auto":
            files if there are some, else the only cache.

    Raises:
        ValueError: for another choice, or "auto" among several caches; names them.
        FileNotFoundError: if there are no features, or none of a domain; says how to get them.
    """
    kept = caches(folder)
    if features not in ("auto", FILES, *kept):
        raise ValueError(unknown(features, ("auto", FILES, *kept), "`features`"))
    found = feature_files(folder, domains) if features in ("auto", FILES) else {}
    if features == FILES or found:
        wanted = f"a file of features ({', '.join(SUFFIXES)}) in {folder}"
        _check_all(domains, found, f"each domain needs {wanted}")
        return folder, found
    if features == "auto" and len(kept) > 1:
        text = f"one of {', '.join(kept)}, as {folder / CACHES} has them all"
        raise ValueError(f"`features` must name {text}, not 'auto'")
    how = f"`mtlgym data features {folder.name} --backbone {{}}` computes them from images"
    if not kept:
        text = f"no features of {folder.name} in {folder}"
        raise FileNotFoundError(f"{text}: {how.format('efficientnet_lite0')}")
    place = kept[features] if features != "auto" else next(iter(kept.values()))
    there = {domain: place / f"{domain}.npz" for domain in domains}
    whole = {domain: path for domain, path in there.items() if path.is_file()}
    _check_all(
        domains,
        whole,
        f"{place} must have those of each domain; {how.format('BACKBONE')}, "
        f"with the backbone that {place / 'backbone.json'} names",
    )
    return place, whole


def _check_all(domains: Spellings, found: Mapping[str, Path], wanted: str) -> None:
    missing = [repr(domain) for domain in domains if domain not in found]
    if missing:
        raise FileNotFoundError(f"no features of {', '.join(missing)}: {wanted}")


def _holds_features(path: Path) -> bool:
    """Whether it is a file of features, not of labels alone."""
    holds = path.suffix.lower() in SUFFIXES and not _letters(path.stem).endswith("labels")
    return holds and path.is_file()


def _letters(text: str) -> str:
    """The letters and digits alone, in small letters."""
    return re.sub(r"[\W_]+", "", text).lower()


def _beginnings(text: str) -> set[str]:
    """The first word, the first two words, and so on."""
    words = re.findall(r"[^\W_]+", text.lower())
    return {"".join(words[: count + 1]) for count in range(len(words))}
