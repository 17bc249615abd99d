"""Integrity checks of the data files that are present."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

from mtlgym.datasets import sources
from mtlgym.datasets.formats.arrays import kept_digest, verify
from mtlgym.lookup import lookup


def audit(name: str) -> dict[Path, str]:
    """The damage of each present file of a data set, empty for a sound one.

    Checks the embedded file, and the real files that have a `.sha256` beside them, or the whole
    folder where the data set has a check of its own.
    """
    dataset = lookup(sources.DATASETS, name, "data set")
    report = sources.status(name)
    checked = {report.embedded: report.damage} if isinstance(report.embedded, Path) else {}
    for digest in sorted(dataset.folder.glob("*.sha256")):
        path = digest.with_suffix("")
        checked[path] = _damage(partial(_compare, path, digest))
    if dataset.verify and report.real:
        checked[report.real] = _damage(partial(resolve_name(dataset.verify), report.real))
    return checked


def _compare(path: Path, digest: Path) -> None:
    verify(path, kept_digest(digest))


def _damage(check: Callable[[], None]) -> str:
    """The damage that the check reports."""
    try:
        check()
    except (OSError, ValueError, ImportError) as error:
        return str(error)
    return ""
