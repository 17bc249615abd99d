"""Features of images by a fixed network, computed once and cached in files."""

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mtlgym import checks
from mtlgym.datasets.domains.image_lists import ImageList
from mtlgym.datasets.domains.paths import CACHES
from mtlgym.datasets.formats.arrays import kept_digest, read_arrays, write_arrays
from mtlgym.datasets.formats.image_cache import decode, listing
from mtlgym.io.atomic import write_atomically
from mtlgym.models.backbone import Backbone

ORIGIN = "backbone.json"  # beside the features: which network they are of
FIELDS = ("name", "digest", "side", "mean", "std")  # of the network, in that file
Progress = Callable[[str, int, int], None]  # domain, images that are done, all images


def extract(
    folder: Path,
    domains: Mapping[str, ImageList],
    backbone: Backbone,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Path:
    """Compute the features of every image; return their folder, `features/<backbone>`.

    In it are `backbone.json` and, of each domain, `<domain>.npz` with `features`, float32 (samples,
    width), `labels`, int64, `classes`, `images`, what `listing` says of the files, and `backbone`,
    the text of `backbone.json`; its SHA-256 is beside it. A domain is written when it is finished,
    and not run again while it is whole and of the same images, labels and backbone; so a run that
    is cut short goes on with the next domain. Images are cut and resized as `decode` says.

    Args:
        folder: of the data set; every image is in it.
        domains: the images of each.
        backbone: what makes features of them.
        batch_size: images that are run at once; features may differ by rounding between sizes.
        progress: called after every batch, and with 0 images before a domain's first one.

    Raises:
        ValueError: for another batch size, a folder of another backbone of the same name, or an
            image that cannot be decoded or whose features are not finite; names it.
        OSError: if an image is missing, or features cannot be written.
    """
    checks.integer("batch_size", batch_size, least=1)
    place = folder / CACHES / safe(backbone.name)
    place.mkdir(parents=True, exist_ok=True)
    _claim(place / ORIGIN, backbone)
    for domain, images in domains.items():
        path, digest = place / f"{domain}.npz", place / f"{domain}.npz.sha256"
        labels = {"labels": images.labels, "classes": np.array(images.classes)}
        origin = {
            "images": np.array(listing(folder, images.paths)),
            "backbone": np.array(_note(backbone)),
        }
        expected = labels | origin
        if _holds(path, digest, expected):
            continue
        told = partial(progress, domain) if progress is not None else None
        rows = _rows(images.paths, backbone, batch_size, told)
        found = write_arrays(path, {"features": rows, **expected})
        write_atomically(digest, f"{found}\n".encode())
    return place


def features_of(
    images: NDArray[np.uint8], backbone: Backbone, batch_size: int = 32
) -> NDArray[np.float32]:
    """The features of images of any size, (n, width).

    Args:
        images: (n, height, width, 3), at least one; resized bilinearly, with antialiasing, to the
            backbone's side.
        backbone: what makes features of them.
        batch_size: images that are run at once.

    Raises:
        ValueError: for another shape or batch size, or features that are not finite; says of which
            image.
    """
    checks.integer("batch_size", batch_size, least=1)
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise ValueError(f"`images` must be (n, height, width, 3), not {images.shape}")
    starts = range(0, len(images), batch_size)
    found = np.concatenate([_run(images[at : at + batch_size], backbone) for at in starts])
    wrong = _not_finite(found)
    if wrong is not None:
        raise ValueError(f"`backbone` {backbone.name!r} gives image {wrong} features not finite")
    return found


def safe(name: str) -> str:
    """The folder name for a backbone: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "backbone"


def _rows(
    paths: tuple[Path, ...],
    backbone: Backbone,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
) -> NDArray[np.float32]:
    """The features of a domain's image files, (n, width), in batches."""
    tell = progress or (lambda done, total: None)
    tell(0, len(paths))  # so that the first batch's time counts
    rows = []
    for start in range(0, len(paths), batch_size):
        rows.append(_decoded(paths[start : start + batch_size], backbone))
        tell(min(start + batch_size, len(paths)), len(paths))
    return np.concatenate(rows)


def _decoded(paths: tuple[Path, ...], backbone: Backbone) -> NDArray[np.float32]:
    """The features of image files, (n, width)."""
    found = _run(np.stack([decode(path, backbone.side) for path in paths]), backbone)
    wrong = _not_finite(found)
    if wrong is not None:
        text = f"`backbone` {backbone.name!r} gives {paths[wrong]} features"
        raise ValueError(f"{text} that are not finite")
    return found


def _run(images: NDArray[np.uint8], backbone: Backbone) -> NDArray[np.float32]:
    """The features of images, (n, height, width, 3), in one batch."""
    size = (backbone.side, backbone.side)
    with torch.inference_mode():
        pixels = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
        if pixels.shape[2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        mean, std = (torch.tensor(each)[:, None, None] for each in (backbone.mean, backbone.std))
        features: Tensor = backbone.module((pixels - mean) / std)
    return features.float().numpy()


def _not_finite(features: NDArray[np.float32]) -> int | None:
    """The first row that has a number that is not finite."""
    rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
    return int(rows[0]) if len(rows) else None


def _note(backbone: Backbone) -> str:
    """The network's identity as JSON: everything of it that determines the features."""
    return json.dumps({field: getattr(backbone, field) for field in FIELDS}, indent=2)


def _claim(path: Path, backbone: Backbone) -> None:
    """Write down the folder's backbone, or check that it is this one."""
    if not path.exists():
        write_atomically(path, f"{_note(backbone)}\n".encode())
        return
    own = json.loads(_note(backbone))
    try:
        kept = json.loads(path.read_text())
        wrong = [field for field in FIELDS if kept[field] != own[field]]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is damaged; delete it and the features beside it") from error
    if wrong:
        raise ValueError(
            f"{path}: the features are of another backbone {kept['name']!r}, whose {wrong[0]} is "
            f"{kept[wrong[0]]}, not {own[wrong[0]]}; delete or rename the folder"
        )


def _holds(path: Path, digest: Path, expected: Mapping[str, np.ndarray]) -> bool:
    """Whether the folder has the complete features of the expected images."""
    try:
        kept = read_arrays(path, kept_digest(digest))
        return all(np.array_equal(kept[name], value) for name, value in expected.items())
    except (OSError, ValueError, LookupError, zipfile.BadZipFile):
        return False
