"""Which emoji are drawn: their code points and Unicode's groups of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ROUTING = (  # groups that are tasks; food was near chance in a trial
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Travel & Places",
    "Activities",
    "Objects",
)
CLASSES, LEAST = 5, 12  # subgroups of such a group, at most, and glyphs of such a subgroup
DOMAINS = ("Smileys & Emotion", "Animals & Nature", "Food & Drink", *ROUTING[3:])
SHARED = 25  # subgroups of these groups
SELECTOR = "FE0F"  # asks for a picture, not a letter; the packages' names leave it out
SKINS = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}


@dataclass(frozen=True)
class Glyph:
    """An emoji.

    Attributes:
        codepoints: in lower-case hexadecimal, joined by `-`.
        group: Unicode's.
        subgroup: Unicode's.
    """

    codepoints: str
    group: str
    subgroup: str

    @property
    def place(self) -> tuple[str, str]:
        """The group and the subgroup."""
        return self.group, self.subgroup


def listed(text: str) -> list[Glyph]:
    """The fully qualified emoji without a skin's tone in an `emoji-test.txt`, in its order."""
    found, group, subgroup = [], "", ""
    for line in text.splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
        elif line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ")
        elif line and not line.startswith("#"):
            points, status = line.split("#")[0].split(";")
            parts = [each for each in points.split() if each != SELECTOR]
            if status.strip() == "fully-qualified" and not SKINS & {*parts}:
                found.append(Glyph("-".join(parts).lower(), group, subgroup))
    return found


def chosen(glyphs: Iterable[Glyph]) -> list[Glyph]:
    """The glyphs that routing or the four domains need.

    Routing needs the largest subgroups of each of six groups; the domains the largest ones of six
    groups together, without people. Of two of equal size the one later in the alphabet counts as
    larger.
    """
    glyphs = list(glyphs)
    counts = Counter(glyph.place for glyph in glyphs)
    largest = sorted(counts, key=lambda place: (counts[place], place), reverse=True)
    wanted = {*[place for place in largest if place[0] in DOMAINS][:SHARED]}
    for group in ROUTING:
        own = [place for place in largest if place[0] == group and counts[place] >= LEAST]
        wanted.update(own[:CLASSES])
    return [glyph for glyph in glyphs if glyph.place in wanted]
