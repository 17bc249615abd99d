"""Text mix: eight small tasks over real texts, in sizes as unequal as those of GLUE's tasks.

Three are judgements of people: each text was rated by some twenty of them.

- `vader_tweets`, `vader_movie`, `vader_amazon`: whether the mean rating of a tweet, or of a
  sentence of a film's or a product's review, is positive (at least 0.5 in [-4, 4]) or negative (at
  most -0.5). Versions of one tweet count as one.

Four follow from WordNet, whose authors wrote the glosses and the examples.

- `wn_topic15`: the lexicographer file of a noun, by its gloss; the files with the most nouns.
- `wn_nli3`: what the second noun is to the first, both with their glosses: its hypernym (so that
  the first entails it), its hyponym (so that it may be true or not) or its sibling, another
  hyponym of the same hypernym (so that it is mostly not true).
- `wn_wic`: whether a word has the same sense in two examples; if not, the senses are of different
  lexicographer files.
- `wn_sense`: whether a gloss is the one of the word's sense in an example; if not, it is that of
  the word as another part of speech.

One has synthetic labels.

- `wn_order`: whether an example of WordNet is as it was, or a determiner in it was swapped with the
  word after it.

No text is in two splits, of whatever tasks. Nor are the sentences of one product's review, a noun,
gloss or family of siblings of `wn_nli3`, a gloss of `wn_topic15`, or a word of `wn_wic` and
`wn_sense`. Classes are of equal size, but for `wn_topic15`.

Source: Hutto, Gilbert (ICWSM 2014), https://doi.org/10.1609/icwsm.v8i1.14550; Miller, WordNet: a
lexical database for English, Communications of the ACM 38 (1995),
https://doi.org/10.1145/219717.219748. `wn_wic` is made in the manner of Pilehvar,
Camacho-Collados: WiC (NAACL 2019), https://arxiv.org/abs/1808.09121.
Differs from WiC in that a word may be two parts of speech, and all examples are WordNet's.
"""

import gzip
import json
from collections.abc import Sequence

import numpy as np

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.formats.arrays import verify
from mtlgym.datasets.texts import SPLITS, Texts, TextTask

SENTIMENTS = ("negative", "positive")
TOPICS = (
    "artifact",
    "plant",
    "animal",
    "person",
    "act",
    "communication",
    "state",
    "attribute",
    "substance",
    "cognition",
    "food",
    "group",
    "body",
    "quantity",
    "event",
)
TASKS = {
    task.name: task
    for task in (
        TextTask("vader_tweets", SENTIMENTS, False, ("accuracy",)),
        TextTask("vader_movie", SENTIMENTS, False, ("accuracy",)),
        TextTask("vader_amazon", SENTIMENTS, False, ("accuracy",)),
        TextTask("wn_topic15", TOPICS, False, ("accuracy",)),
        TextTask("wn_nli3", ("hypernym", "hyponym", "sibling"), True, ("accuracy",)),
        TextTask("wn_wic", ("different", "same"), True, ("accuracy",)),
        TextTask("wn_sense", ("wrong", "right"), True, ("accuracy", "f1")),
        TextTask("wn_order", ("swapped", "intact"), False, ("matthews",)),
    )
}


def load(
    tasks: Sequence[str] = tuple(TASKS),
) -> tuple[dict[str, dict[str, Texts]], list[str], sources.Source]:
    """The texts by task and split, the word pieces of the vocabulary, and where they come from.

    The vocabulary is lower-case WordPiece in the order of the indices, trained on the training
    split of all eight tasks; it begins with [PAD], [UNK], [CLS], [SEP] and [MASK].

    Raises:
        ValueError: for an unknown, repeated or missing task, or a damaged file; names it.
    """
    names = checks.tasks(tasks, TASKS)
    path, digest = sources.embedded_file("glue")
    verify(path, digest)
    content = json.loads(gzip.decompress(path.read_bytes()))
    texts = {
        name: {split: _texts(content["tasks"][name][split]) for split in SPLITS} for name in names
    }
    return texts, content["vocabulary"], sources.Source("glue", "embedded", path, digest)


def _texts(columns: dict) -> Texts:
    """The samples in a task's columns of one split."""
    return Texts(columns["first"], columns["second"], np.array(columns["labels"], np.int64))
