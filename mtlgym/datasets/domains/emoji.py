"""Features of emoji of 25 classes: the domains are four artists who draw the same 674 glyphs.

It is no benchmark.

Source: the pictures of `mtlgym.datasets.images.emoji`, as features of an EfficientNet-Lite0
trained on ImageNet; see DATA_LICENSES.md beside the file.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets import sources
from mtlgym.datasets.domains.domains import Domains
from mtlgym.datasets.images import emoji

APART = ("People & Body", "Symbols", "Flags")  # groups that are left out
CLASSES = 25
STEPS = 31  # of a feature's root between 0 and its top


def load(name: str = "office_home") -> tuple[Domains, sources.Source]:
    """Four domains of 674 samples and 25 classes with 1280 features, and where they come from.

    A feature is (code / 31)^2 times its top, as the file holds it in 5 bits. A sample's group is
    its glyph, so that the four drawings of one fall into the same split.

    Args:
        name: of the data set that it stands in for.

    Raises:
        ValueError: if a file is damaged, or of other glyphs than the pictures; names it.
    """
    arrays, source = sources.embedded(name)
    glyphs, pictures = emoji.glyphs()
    index, labels, classes = pick(glyphs)
    if arrays["codepoints"].tolist() != [glyphs.codepoints[at] for at in index]:
        raise ValueError(
            f"`codepoints` of {source.path} must be those of the {len(index)} glyphs of "
            f"{CLASSES} classes in {pictures.path}, in their order"
        )
    roots = arrays["codes"].astype(np.float32) / STEPS  # (artists, glyphs, width)
    features = roots**2 * arrays["tops"]
    artists = len(emoji.ARTISTS)
    domains = Domains(
        emoji.ARTISTS, classes, tuple(features), (labels,) * artists, (index,) * artists
    )
    return domains, source


def pick(
    glyphs: emoji.Glyphs,
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """The glyphs of the 25 largest subgroups outside `APART`: their places, labels and the classes.

    The classes are the subgroups from the largest to the smallest; of two of equal size the one
    later in the alphabet of (group, subgroup) counts as larger. The glyphs are in ascending order.
    """
    places = list(zip(glyphs.groups, glyphs.subgroups, strict=True))
    counts = Counter(place for place in places if place[0] not in APART)
    largest = sorted(counts, key=lambda place: (counts[place], place), reverse=True)[:CLASSES]
    rank = {place: label for label, place in enumerate(largest)}
    index = [at for at, place in enumerate(places) if place in rank]
    labels = [rank[places[at]] for at in index]
    return np.array(index), np.array(labels), tuple(subgroup for _, subgroup in largest)
