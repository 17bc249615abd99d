"""Draw the icons of an npm package of Iconify's on white, with antialiasing."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32  # pixels
FINER = 8  # each pixel is the mean of so many rows and columns of a larger drawing


class Icons:
    """The icons of one package, by code points."""

    def __init__(self, package: Path) -> None:
        """Read a package's archive."""
        with tarfile.open(package) as archive:
            self._icons = _json(archive, "icons.json")
            self._names = _json(archive, "chars.json")

    def __contains__(self, codepoints: str) -> bool:
        """Whether there is an icon of these code points."""
        return codepoints in self._names

    def svg(self, codepoints: str) -> str:
        """An icon's picture, in the middle of a square."""
        name = self._names[codepoints]
        name = self._icons.get("aliases", {}).get(name, {"parent": name})["parent"]
        icon = {"left": 0, "top": 0, "width": 16, "height": 16, **self._icons}
        icon |= self._icons["icons"][name]
        side = max(icon["width"], icon["height"])
        left = icon["left"] - (side - icon["width"]) / 2
        top = icon["top"] - (side - icon["height"]) / 2
        spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'<svg {spaces} viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>'


def drawn(svg: str) -> NDArray[np.uint8]:
    """An SVG's picture, (32, 32, 3)."""
    from resvg_py import svg_to_bytes  # so that the other modules can be used without it

    side = SIDE * FINER
    png = svg_to_bytes(
        svg_string=svg, background="#ffffff", skip_system_fonts=True, width=side, height=side
    )
    with Image.open(io.BytesIO(bytes(png))) as image:
        fine = np.asarray(image.convert("RGB"), np.int64)
    return averaged(fine, FINER)


def averaged(fine: NDArray[np.int64], finer: int) -> NDArray[np.uint8]:
    """The means of squares of pixels, rounded, halves up."""
    height, width, channels = fine.shape
    squares = fine.reshape(height // finer, finer, width // finer, finer, channels)
    return ((squares.sum(axis=(1, 3)) + finer**2 // 2) // finer**2).astype(np.uint8)


def _json(archive: tarfile.TarFile, name: str) -> dict:
    file = archive.extractfile(f"package/{name}")
    if file is None:
        raise ValueError(f"the package has no {name}")
    return json.load(file)
