"""NYUv2 with one `.npy` file for each array: `{train,val}/{image,label,depth,normal}/{i}.npy`.

This is the layout of the preprocessed set of Liu, Johns, Davison (CVPR 2019). Parquet files
of the Hugging Face hub are read by `hub.py`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.formats.arrays import DAMAGE
from mtlgym.datasets.frames import CLASSES, Frame

PARTS = ("train", "val")
KINDS = ("image", "label", "depth", "normal")
LENGTH = 1e-3  # below which a normal counts as none


@dataclass(frozen=True)
class Header:
    """The header of a file: the form of its array.

    Attributes:
        shape: of the array.
        dtype: name of its element type.
        size: bytes of the file.
    """

    shape: tuple[int, ...]
    dtype: str
    size: int


class FolderFrames:
    """Frames in a folder: those of `train`, then those of `val`.

    Attributes:
        counts: number of frames in `train` and in `val`.
        height: rows of pixels.
        width: columns of pixels.
        sha256: digest of all files' names, sizes, shapes and element types. Their contents are not
            in it: to read gigabytes at every start would take minutes.
    """

    def __init__(self, folder: Path) -> None:
        """Read the header of every file; values are checked when a frame is read.

        Raises:
            ValueError: if a file is missing, damaged or of another form than the others; names it.
        """
        self._folder = folder
        self.counts = tuple(_count(folder / part) for part in PARTS)
        self.height, self.width = _size(folder / "train" / "image" / "0.npy")
        digest = hashlib.sha256()
        for part, count in zip(PARTS, self.counts, strict=True):
            for kind in KINDS:
                for i in range(count):
                    header = self._check(folder / part / kind / f"{i}.npy", kind)
                    digest.update(f"{part}/{kind}/{i}.npy {header}\n".encode())
        self.sha256 = digest.hexdigest()

    def frame(self, index: int) -> Frame:
        """Read a frame; its normals get unit length.

        Raises:
            ValueError: for values that are not allowed; names the file.
        """
        part = int(index >= self.counts[0])
        folder, name = self._folder / PARTS[part], f"{index - part * self.counts[0]}.npy"
        image, label, depth, normal = (folder / kind / name for kind in KINDS)
        return Frame(_image(image), _label(label), _depth(depth)[..., 0], _normal(normal))

    def _check(self, path: Path, kind: str) -> Header:
        array = read(path)
        channels = {"image": (3,), "label": (), "depth": (1,), "normal": (3,)}[kind]
        shape = (self.height, self.width, *channels)
        if array.shape != shape:
            raise ValueError(f"{path} must have the shape {shape}, not {array.shape}")
        kinds = "fiu" if kind == "label" else "f"
        if array.dtype.kind not in kinds:
            allowed = "integers or floats" if kind == "label" else "floats"
            raise ValueError(f"{path} must hold {allowed}, not {array.dtype}")
        return Header(array.shape, array.dtype.str, path.stat().st_size)


def read(path: Path) -> NDArray:
    """The file's array, mapped into memory.

    Raises:
        ValueError: if there is no sound `.npy` file of that name.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing") from error
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}. Get it again.") from error
    if not isinstance(array, np.memmap):
        array.close()  # what an archive gives
        raise ValueError(f"{path} is damaged: it is not one array. Get it again.")
    return array


def _count(folder: Path) -> int:
    """The number of frames in a part; every kind must have as many."""
    names = {kind: {p.name for p in (folder / kind).glob("*.npy")} for kind in KINDS}
    count = max(len(each) for each in names.values())
    for kind in KINDS:
        missing = {f"{i}.npy" for i in range(count)} - names[kind]
        if missing:
            first = min(missing, key=lambda name: (len(name), name))
            found = ", ".join(f"{len(names[k])} of {k}" for k in KINDS)
            raise ValueError(f"{folder / kind / first} is missing; {folder} has {found}")
    return count


def _size(path: Path) -> tuple[int, int]:
    shape = read(path).shape
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"{path} must have the shape (height, width, 3), not {shape}")
    return shape[0], shape[1]


def _image(path: Path) -> NDArray[np.float32]:
    image = _floats(path)
    _refuse(path, image, (image >= 0) & (image <= 1), "colours in [0, 1]")
    return image


def _label(path: Path) -> NDArray[np.int64]:
    label = np.asarray(read(path))
    sound = (label == np.round(label)) & (label >= -1) & (label < len(CLASSES))
    _refuse(path, label, sound, f"integers from -1 to {len(CLASSES) - 1}")
    return label.astype(np.int64)


def _depth(path: Path) -> NDArray[np.float32]:
    depth = _floats(path)
    _refuse(path, depth, (depth >= 0) & np.isfinite(depth), "finite depths of at least 0 m")
    return depth


def _normal(path: Path) -> NDArray[np.float32]:
    normal = _floats(path)
    _refuse(path, normal, np.isfinite(normal), "finite vectors")
    length = np.linalg.norm(normal.astype(np.float64), axis=-1, keepdims=True)
    unit = np.where(length > LENGTH, normal / np.maximum(length, LENGTH), 0.0)
    return unit.astype(np.float32)


def _floats(path: Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        return np.asarray(read(path), np.float32)


def _refuse(path: Path, values: NDArray, sound: NDArray[np.bool_], allowed: str) -> None:
    if not sound.all():
        found = values[~sound][0]
        raise ValueError(f"{path} must hold {allowed}; {(~sound).sum()} are not, one is {found}")
