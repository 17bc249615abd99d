"""Read WordNet's text database.

Source: the formats are those of WordNet's manual page wndb(5WN).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}  # file suffix: part of speech
HYPERNYM, INSTANCE = "@", "@i"  # pointers: a dog is an animal; Fido is an instance of a dog
# What an inflected word ends in: what the lemma may end in instead, as in WordNet's morphy(7WN).
ENDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "n": {"s": ("",), "es": ("",), "ies": ("y",), "men": ("man",)},
    "v": {"s": ("",), "es": ("",), "ies": ("y",), "ed": ("", "e"), "ing": ("", "e")},
    "a": {"er": ("", "e"), "est": ("", "e")},
    "r": {},
}
Exceptions = dict[str, dict[str, set[str]]]  # part of speech: inflected word: lemmas
QUOTED = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Attributes:
        part: of speech: n, v, a or r.
        offset: in its file, which identifies it within its part of speech.
        topic: number of the lexicographer file, from 0 to 44.
        words: that have this meaning, spaces in place of underscores.
        parents: offsets of the hypernyms.
        instance: whether it is one thing or person, not a class.
        gloss: the definition without its examples.
        examples: sentences or phrases that use one of the words.
    """

    part: str
    offset: int
    topic: int
    words: tuple[str, ...]
    parents: tuple[int, ...]
    instance: bool
    gloss: str
    examples: tuple[str, ...]

    @property
    def key(self) -> str:
        """What no other synset is called."""
        return f"synset {self.part}{self.offset}"

    @property
    def title(self) -> str:
        """Its first word and its gloss."""
        return f"{self.words[0]}: {self.gloss}"


def parse(line: str, part: str) -> Synset:
    """The synset in a line of a data file."""
    data, _, text = line.partition(" | ")
    fields = data.split()
    count = int(fields[3], 16)
    words = [re.sub(r"\(\w+\)$", "", word) for word in fields[4 : 4 + 2 * count : 2]]
    pointers = fields[5 + 2 * count :]
    kinds = [pointers[4 * i : 4 * i + 3] for i in range(int(fields[4 + 2 * count]))]
    gloss, _, examples = text.strip().partition('; "')
    return Synset(
        part=part,
        offset=int(fields[0]),
        topic=int(fields[1]),
        words=tuple(word.replace("_", " ") for word in words),
        parents=tuple(int(offset) for kind, offset, _ in kinds if kind == HYPERNYM),
        instance=any(kind == INSTANCE for kind, _, _ in kinds),
        gloss=gloss.strip(" ;"),
        examples=tuple(example.strip() for example in QUOTED.findall('"' + examples)),
    )


def synsets(files: Mapping[str, str]) -> Iterator[Synset]:
    """All synsets, in the files' order: nouns, verbs, adjectives, adverbs."""
    for suffix, part in PARTS.items():
        lines = files[f"data.{suffix}"].splitlines()
        yield from (parse(line, part) for line in lines if not line.startswith(" "))


def irregular(files: Mapping[str, str]) -> Exceptions:
    """By part of speech, the lemmas of inflected words that follow no rule."""
    table: Exceptions = {part: {} for part in PARTS.values()}
    for suffix, part in PARTS.items():
        for line in files[f"{suffix}.exc"].splitlines():
            word, *lemmas = line.split()
            table[part].setdefault(word, set()).update(lemmas)
    return table


def lemmas(word: str, part: str, exceptions: Exceptions) -> set[str]:
    """What a word may be an inflected form of, itself included."""
    found = {word} | exceptions[part].get(word, set())
    for ending, instead in ENDINGS[part].items():
        if word.endswith(ending):
            found |= {word.removesuffix(ending) + each for each in instead}
    return found
