"""Tasks over words in use: whether two uses, or a use and a gloss, are of the same sense."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from text_mix.samples import Sample, plain, shuffled, words
from text_mix.wordnet import Exceptions, Synset, lemmas

EXAMPLE_LENGTHS = range(4, 26)  # words
GLOSS_LENGTHS = range(3, 26)
USES = 3  # of one lemma, with a gloss


@dataclass(frozen=True)
class Usage:
    """An example sentence or phrase in which a lemma has the meaning of a synset."""

    synset: Synset
    example: str


def usages(synsets: Sequence[Synset], exceptions: Exceptions) -> dict[str, list[Usage]]:
    """The usages of each lemma of a single word, where the lemma is found in the example."""
    found = defaultdict(list)
    for synset in synsets:
        for example in synset.examples:
            if words(example) not in EXAMPLE_LENGTHS:
                continue
            tokens = re.findall(r"[a-z'-]+", example.lower())
            present = {lemma for each in tokens for lemma in lemmas(each, synset.part, exceptions)}
            for word in {word.lower() for word in synset.words if word.isalpha()} & present:
                found[word].append(Usage(synset, example))
    return {word: found[word] for word in sorted(found)}


def contexts(found: Mapping[str, Sequence[Usage]], rng: np.random.Generator) -> Iterator[Sample]:
    """Two examples of a lemma, 1 if the synset is the same, 0 if even the topics differ.

    A lemma gives at most one pair of each class.
    """
    for lemma in shuffled(found, rng):
        uses = shuffled(found[lemma], rng)
        pairs: dict[int, tuple[Usage, Usage]] = {}
        for i, one in enumerate(uses):
            for other in uses[:i]:
                same = one.synset is other.synset
                if same or one.synset.topic != other.synset.topic:
                    pairs.setdefault(int(same), (one, other))
        for label, (one, other) in pairs.items():
            if plain(one.example) != plain(other.example):
                texts = (f"{lemma}: {one.example}", f"{lemma}: {other.example}")
                yield Sample(
                    *texts, label, (f"lemma {lemma}", plain(one.example), plain(other.example))
                )


def glosses(
    synsets: Sequence[Synset], found: Mapping[str, Sequence[Usage]], rng: np.random.Generator
) -> Iterator[Sample]:
    """An example of a lemma and a gloss, 1 if it is the right one.

    A wrong one is that of the same lemma as another part of speech.
    """
    senses = defaultdict(list)
    for synset in synsets:
        if words(synset.gloss) in GLOSS_LENGTHS:
            for word in synset.words:
                senses[word.lower()].append(synset)
    for lemma in shuffled(found, rng):
        for use in shuffled(found[lemma], rng)[:USES]:
            wrong = [s for s in senses[lemma] if s.part != use.synset.part]
            if wrong and use.synset in senses[lemma]:
                right = bool(rng.integers(2))
                chosen = use.synset if right else wrong[rng.integers(len(wrong))]
                keys = (f"lemma {lemma}", plain(use.example), plain(chosen.gloss))
                yield Sample(use.example, f"{lemma}: {chosen.gloss}", int(right), keys)
