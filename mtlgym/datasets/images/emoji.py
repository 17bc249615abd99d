"""Emoji as four artists drew them: six groups as tasks, their subgroups as classes.

954 glyphs at 32 x 32 pixels, on white. Groups and subgroups are those of Unicode's list of emoji
15.0, without tones of skin. It is no benchmark.

Source: Twemoji, Noto Emoji and Microsoft's Fluent Emoji, flat and in high contrast; see
DATA_LICENSES.md beside the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets import sources
from mtlgym.datasets.images.image_tasks import SPLITS, ImageData, by_groups

ARTISTS = ("twemoji", "noto", "fluent-emoji-flat", "fluent-emoji-high-contrast")
GROUPS = {  # a task's name for a group of Unicode's, and the subgroups with the most glyphs
    "people": (
        "People & Body",
        ("person-role", "person-sport", "person-activity", "person-fantasy", "person-gesture"),
    ),
    "animals": (
        "Animals & Nature",
        ("animal-mammal", "animal-bird", "plant-other", "animal-bug", "plant-flower"),
    ),
    "travel": (
        "Travel & Places",
        ("transport-ground", "sky & weather", "time", "place-building", "place-other"),
    ),
    "objects": ("Objects", ("clothing", "tool", "household", "office", "book-paper")),
    "activities": ("Activities", ("sport", "game", "event")),  # others have less than 8
    "smileys": (
        "Smileys & Emotion",
        ("face-concerned", "heart", "face-smiling", "face-neutral-skeptical", "emotion"),
    ),
}
SHARES = (0.1, 0.2)  # of a class's families, for validation and test
SEED = 0  # of the split
JOINER, GENDERS, MAN, WOMAN, PERSON = "200d", {"2640", "2642"}, "1f468", "1f469", "1f9d1"


@dataclass(frozen=True, eq=False)
class Glyphs:
    """The glyphs of every artist.

    Attributes:
        images: (artists, glyphs, 32, 32, 3), in the order of `ARTISTS`; read-only.
        codepoints: of each glyph, in lower-case hexadecimal, joined by `-`, without variation
            selectors.
        groups: Unicode's group of each glyph.
        subgroups: Unicode's subgroup of each glyph.
    """

    images: NDArray[np.uint8]
    codepoints: tuple[str, ...]
    groups: tuple[str, ...]
    subgroups: tuple[str, ...]


@lru_cache(maxsize=1)
def glyphs() -> tuple[Glyphs, sources.Source]:
    """Load all glyphs that ship with mtlgym, and their source.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    arrays, source = sources.embedded("cifar100")
    images = arrays.pop("images")
    images.flags.writeable = False  # all callers share them
    names = {name: tuple(array.tolist()) for name, array in arrays.items() if name != "artists"}
    return Glyphs(images, **names), source


def load_groups() -> tuple[ImageData, sources.Source]:
    """Load six tasks, each of classifying the subgroups of a group, and their source.

    A glyph's four drawings are in one split, and so are a man, a woman and a person who do the
    same. Of each class some 10 % are for validation and 20 % for the test, the same ones every
    time.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    found, source = glyphs()
    places = [(group, each) for group, subgroups in GROUPS.values() for each in subgroups]
    number = {place: i for i, place in enumerate(places)}
    tasks = [[number[group, each] for each in subgroups] for group, subgroups in GROUPS.values()]
    rest = len(places)  # a class that is in no task
    here = zip(found.groups, found.subgroups, strict=True)
    labels = np.array([number.get(place, rest) for place in here])
    split_of = _split(found.codepoints, labels)
    images = found.images.reshape(-1, *found.images.shape[2:])
    splits = {}
    for i, split in enumerate(SPLITS):
        seen = np.where(split_of == i, labels, rest)
        splits[split] = by_groups(images, np.tile(seen, len(ARTISTS)), tasks)
    classes = tuple(subgroups for _, subgroups in GROUPS.values())
    return ImageData(tuple(GROUPS), classes, splits), source


def _split(codepoints: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each glyph's place in `SPLITS`, drawn by families within each class, (glyphs,)."""
    families = np.array([_family(each) for each in codepoints])
    split_of = np.zeros(len(codepoints), np.int64)
    rng = np.random.default_rng(SEED)
    for label in np.unique(labels):
        own = labels == label
        order = rng.permutation(np.unique(families[own]))
        ends = np.cumsum([round(share * len(order)) for share in SHARES])
        for i, taken in enumerate(np.split(order, ends)[:-1], start=1):
            split_of[own & np.isin(families, taken)] = i
    return split_of


def _family(codepoints: str) -> str:
    """The code points of a person who does what the man, the woman or the person here does."""
    parts = [each for each in codepoints.split("-") if each not in {JOINER, *GENDERS}]
    return "-".join(PERSON if each in (MAN, WOMAN) else each for each in parts)
