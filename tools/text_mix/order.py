"""Word order: examples as they are, or with a determiner behind the word that it belongs to."""

from collections.abc import Iterator, Sequence

import numpy as np

from text_mix.samples import Sample, plain, shuffled, words
from text_mix.wordnet import Synset

LENGTHS = range(4, 26)  # words
DETERMINERS = frozenset(
    (
        "a",
        "an",
        "every",
        "her",
        "his",
        "its",
        "my",
        "no",
        "our",
        "that",
        "the",
        "their",
        "these",
        "this",
        "those",
        "your",
    )
)


def samples(synsets: Sequence[Synset], rng: np.random.Generator) -> Iterator[Sample]:
    """Examples that have a determiner, 1 as they are, 0 with one and the next word swapped."""
    examples = {example for synset in synsets for example in synset.examples}
    for example in shuffled(sorted(examples), rng):
        tokens = example.split()
        places = [i for i in range(len(tokens) - 1) if _can_swap(*tokens[i : i + 2])]
        if words(example) in LENGTHS and places:
            intact = bool(rng.integers(2))
            text = example if intact else swap(tokens, int(rng.choice(places)))
            yield Sample(text, None, int(intact), (plain(example),))


def swap(tokens: Sequence[str], at: int) -> str:
    """The text with a word and the next one swapped."""
    return " ".join([*tokens[:at], tokens[at + 1], tokens[at], *tokens[at + 2 :]])


def _can_swap(word: str, after: str) -> bool:
    """Whether a determiner stands before a word without punctuation, which is none itself."""
    return word in DETERMINERS and after.isalpha() and after not in DETERMINERS
