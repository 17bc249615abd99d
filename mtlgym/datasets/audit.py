"""Whether the data files that are there are sound."""

from pathlib import Path

from mtlgym.datasets import sources
from mtlgym.lookup import lookup


def audit(name: str) -> dict[Path, str]:
    """What is wrong with each file of a data set that is there, empty for a sound one.

    Checks the embedded file, and the real files that have a `.sha256` beside them.
    """
    dataset = lookup(sources.DATASETS, name, "data set")
    checked = {(report := sources.status(name)).embedded: report.damage}
    for digest in sorted(dataset.folder.glob("*.sha256")):
        path = digest.with_suffix("")
        try:
            sources.verify(path, digest.read_text().strip())
        except (OSError, ValueError) as error:
            checked[path] = str(error)
        else:
            checked[path] = ""
    return checked
