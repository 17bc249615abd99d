"""Tasks over glosses: what a meaning is about, and how two meanings are related."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from mtlgym.datasets.text_mix import TASKS
from text_mix.samples import Sample, plain, shuffled, words
from text_mix.wordnet import Synset

TOPICS = {  # numbers of the lexicographer files with the most nouns, of lexnames(5WN)
    "act": 4,
    "animal": 5,
    "artifact": 6,
    "attribute": 7,
    "body": 8,
    "cognition": 9,
    "communication": 10,
    "event": 11,
    "food": 13,
    "group": 14,
    "person": 18,
    "plant": 20,
    "quantity": 23,
    "state": 26,
    "substance": 27,
}
LENGTHS = range(4, 26)  # words of a gloss
CHILDREN = 2  # hyponyms of one synset that are used
HYPERNYM, HYPONYM, SIBLING = range(3)


def nouns(synsets: Sequence[Synset]) -> list[Synset]:
    """The classes of things, with glosses of a middling length."""
    return [s for s in synsets if s.part == "n" and not s.instance and words(s.gloss) in LENGTHS]


def topics(synsets: Sequence[Synset], rng: np.random.Generator) -> list[Sample]:
    """Glosses and what they are about."""
    label = {TOPICS[topic]: i for i, topic in enumerate(TASKS["wn_topic15"].labels)}
    chosen = [synset for synset in nouns(synsets) if synset.topic in label]
    return [Sample(s.gloss, None, label[s.topic], (s.key,)) for s in shuffled(chosen, rng)]


def relations(synsets: Sequence[Synset], rng: np.random.Generator) -> Iterator[Sample]:
    """Pairs of synsets and what the second is to the first."""
    known = {synset.offset: synset for synset in nouns(synsets)}
    children = defaultdict(list)
    for synset in known.values():
        for parent in synset.parents:
            children[parent].append(synset)
    for offset in shuffled([offset for offset in children if offset in known], rng):
        brood = shuffled(children[offset], rng)[: CHILDREN + 1]
        for child, sibling in zip(brood[:CHILDREN], brood[1:] + brood[:1], strict=False):
            label = int(rng.integers(3))
            if label != SIBLING or sibling is not child:
                yield _pair(child, known[offset], sibling, label)


def _pair(child: Synset, parent: Synset, sibling: Synset, label: int) -> Sample:
    """The pair of synsets that the label is true of."""
    ends = {HYPERNYM: (child, parent), HYPONYM: (parent, child), SIBLING: (child, sibling)}
    first, second = ends[label]
    family = f"hyponyms of {parent.key}"  # whose glosses are often nearly the same
    keys = (first.key, second.key, plain(first.gloss), plain(second.gloss), family)
    return Sample(first.title, second.title, label, keys)
