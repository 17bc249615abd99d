"""The emoji's arrays, of Unicode's list and the four artists' packages."""

from collections.abc import Mapping
from pathlib import Path

import debian
import numpy as np

from emoji_art import glyphs
from emoji_art.pictures import Icons, drawn

LIST = "./usr/share/unicode/emoji/emoji-test.txt"


def arrays(unicode_data: Path, packages: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """What the file holds: the pictures, and each one's code points, group and subgroup.

    Args:
        unicode_data: Debian package.
        packages: each artist's npm package.
    """
    with debian.opened(unicode_data) as archive:
        text = archive.extractfile(LIST).read().decode()
    artists = {name: Icons(path) for name, path in packages.items()}
    chosen = glyphs.chosen(
        glyph
        for glyph in glyphs.listed(text)
        if all(glyph.codepoints in icons for icons in artists.values())
    )
    pictures = [
        [drawn(icons.svg(each.codepoints)) for each in chosen] for icons in artists.values()
    ]
    return {
        "images": np.array(pictures),  # (artists, glyphs, 32, 32, 3)
        "artists": np.array(list(artists)),
        "codepoints": np.array([glyph.codepoints for glyph in chosen]),
        "groups": np.array([glyph.group for glyph in chosen]),
        "subgroups": np.array([glyph.subgroup for glyph in chosen]),
    }
