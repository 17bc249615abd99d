"""Read the text files of the two packages, with nothing but the standard library."""

import io
import tarfile
from pathlib import Path

import debian


def vader(sdist: Path) -> dict[str, str]:
    """VADER's rated texts, out of the archive inside the source package; by the file's name."""
    suffix = "_GroundTruth.txt"
    with tarfile.open(sdist) as package:
        inner = _read(package, "hutto_ICWSM_2014.tar.gz")["hutto_ICWSM_2014.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        return {
            name.removesuffix(suffix): content.decode()
            for name, content in _read(archive, suffix).items()
        }


def wordnet(deb: Path) -> dict[str, str]:
    """WordNet's data files and lists of irregular words, out of a Debian package; by name."""
    with debian.opened(deb) as archive:
        found = _read(archive, ".exc") | _read(archive, "", "data.")
    return {name: content.decode("ascii") for name, content in found.items()}


def _read(archive: tarfile.TarFile, suffix: str, prefix: str = "") -> dict[str, bytes]:
    """The files of an archive that end and begin so, by their name without folders."""
    found = {}
    for member in archive:
        name = Path(member.name).name
        file = archive.extractfile(member) if member.isfile() else None
        if file and name.endswith(suffix) and name.startswith(prefix):
            found[name] = file.read()
    return found
