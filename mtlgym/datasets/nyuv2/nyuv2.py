"""NYUv2: indoor images with classes, depth and surface normals.

Source: Silberman, Hoiem, Kohli, Fergus (ECCV 2012); 13 classes, 288 x 384 pixels, 795 images for
training and 654 for test as preprocessed by Liu, Johns, Davison (CVPR 2019),
https://arxiv.org/abs/1803.10704.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets import sources
from mtlgym.datasets.frames import Frames
from mtlgym.datasets.nyuv2.files import FolderFrames
from mtlgym.datasets.nyuv2.hub import convert
from mtlgym.datasets.rooms import rooms

__all__ = ["load", "verify"]

SPLITS = ("train", "val", "test")
OFFICIAL_TEST = 654
# 197 of the 654 images, as drawn by `split_held_out`; listed here, as NumPy's streams may change.
VALIDATION = """
5 12 18 19 20 23 26 27 35 36 41 45 46 49 54 56 58 63 68 69 71 77 80 81 84 85 89 90 91 92 93 94
96 98 99 100 101 103 105 109 111 117 120 121 122 123 126 127 136 140 142 145 147 153 160 161 162
164 165 166 177 195 198 199 200 201 205 207 209 212 214 216 219 221 222 223 250 251 253 254 261
263 264 266 270 274 277 278 284 290 291 296 297 304 310 311 318 323 325 331 343 344 346 349 354
358 360 363 367 375 382 387 388 389 395 397 398 400 401 403 404 406 407 411 412 415 416 419 432
435 436 437 447 448 453 464 470 471 472 475 476 480 485 489 497 505 508 511 513 515 522 523 524
525 526 530 531 535 537 544 548 550 551 554 557 559 560 565 566 567 569 572 573 582 585 589 590
599 601 603 608 609 610 611 612 615 618 622 624 625 626 628 630 634 640 641 646
"""


def split(train: int, held_out: int) -> dict[str, NDArray[np.int64]]:
    """Indices of "train", "val" and "test" among the training frames and then the held-out ones.

    Of the 654 official test images, 197 are for validation and 457 for test, as many as in Dai et
    al. (UAI 2023), who do not publish which ones; `VALIDATION` lists them. Of any other number,
    30 % are for validation.
    """
    if train < 1 or held_out < 2:
        raise ValueError(
            f"a split needs at least 1 frame to train and 2 held out, not {train} and {held_out}"
        )
    if held_out == OFFICIAL_TEST:
        val = np.array(VALIDATION.split(), np.int64)
    else:
        val = split_held_out(held_out)
    test = np.setdiff1d(np.arange(held_out), val)
    return {"train": np.arange(train), "val": train + val, "test": train + test}


def split_held_out(held_out: int) -> NDArray[np.int64]:
    """The random 30 % of the held-out frames, rounded up, for validation, sorted."""
    order = np.random.default_rng(0).permutation(held_out)
    return np.sort(order[: -(-3 * held_out // 10)])


def load(
    data: str = "auto",
    height: int = 288,
    width: int = 384,
    counts: Sequence[int] = (795, 197, 457),
) -> tuple[Frames, dict[str, NDArray[np.int64]], sources.Source]:
    """Load NYUv2's frames, or rendered rooms, and the indices of "train", "val" and "test".

    The first load of the hub's parquet files converts them, which takes minutes.

    Args:
        data: "auto", "real" or "embedded"; see `sources.choose`.
        height: of the rooms, pixels; the real images have their own size.
        width: of the rooms, pixels.
        counts: of the rooms in each split.

    Raises:
        ValueError: for another mode, or a damaged file; names the file.
        FileNotFoundError: for "real" without the files; says how to get them.
        ImportError: if the files are parquet and pyarrow is not there.
    """
    found = sources.choose(data, "nyuv2")
    if found is None:
        views, edges = rooms.rooms(height, width), np.cumsum([0, *counts])
        indices = [np.arange(*ends) for ends in pairwise(edges)]
        source = sources.Source("nyuv2", "embedded", Path(rooms.__file__), views.sha256())
        return views, dict(zip(SPLITS, indices, strict=True)), source
    folder = _folder(found)
    frames = FolderFrames(folder)
    source = sources.Source("nyuv2", "real", folder, frames.sha256)
    return frames, split(*frames.counts), source


def verify(folder: Path) -> None:
    """Read every frame of the real files.

    Raises:
        ValueError: for the first file that is damaged or holds what is not allowed; names it.
        ImportError: if the files are parquet and pyarrow is not there.
    """
    frames = FolderFrames(_folder(folder))
    for index in range(sum(frames.counts)):
        frames.frame(index)


def _folder(found: Path) -> Path:
    """Where the `.npy` files are."""
    if all((found / file).exists() for file in sources.DATASETS["nyuv2"].files):
        return found
    converted = found / "converted"
    return converted if converted.exists() else convert(found)
