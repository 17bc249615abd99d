"""The eight text tasks and their vocabulary, as the bytes of one file."""

import gzip
import io
import json
from pathlib import Path

import numpy as np

from text_mix import insults, meanings, order, packages, sentiment, usages, vocabulary, wordnet
from text_mix.samples import Sample, Size, deal, shuffled

PIECES = 6_000
RATED = {
    "vader_tweets": "tweets",
    "vader_movie": "movieReviewSnippets",
    "vader_amazon": "amazonReviewSnippets",
}
SIZES = {  # unequal, as those of GLUE's tasks
    "vader_tweets": Size(1_200),
    "vader_movie": Size(3_600),
    "vader_amazon": Size(400),
    "wn_topic15": Size(3_000, classes=0),
    "wn_nli3": Size(5_000, classes=3),
    "wn_wic": Size(800),
    "wn_sense": Size(4_000),
    "wn_order": Size(2_400),
}


def build(vader: Path, deb: Path, seed: int) -> bytes:
    """The file's content.

    Args:
        vader: source package of vaderSentiment.
        deb: Debian package of WordNet.
        seed: of all that is drawn.
    """
    rngs = dict(zip(SIZES, np.random.default_rng(seed).spawn(len(SIZES)), strict=True))
    dealt = deal(candidates(vader, deb, rngs), SIZES)
    train = [text for splits in dealt.values() for s in splits["train"] for text in s.texts]
    tasks = {
        task: {split: columns(shuffled(each, rngs[task])) for split, each in splits.items()}
        for task, splits in dealt.items()
    }
    content = {"tasks": tasks, "vocabulary": vocabulary.train(train, PIECES)}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return compressed(text.encode())


def candidates(
    vader: Path, deb: Path, rngs: dict[str, np.random.Generator]
) -> dict[str, list[Sample]]:
    """All samples that could be dealt, by task, in an order drawn by the task's generator."""
    rated, files = packages.vader(vader), packages.wordnet(deb)
    synsets = list(wordnet.synsets(files))
    found = usages.usages(synsets, wordnet.irregular(files))
    drawn = {
        **{task: sentiment.samples(t, rated[t], rngs[task]) for task, t in RATED.items()},
        "wn_topic15": meanings.topics(synsets, rngs["wn_topic15"]),
        "wn_nli3": meanings.relations(synsets, rngs["wn_nli3"]),
        "wn_wic": usages.contexts(found, rngs["wn_wic"]),
        "wn_sense": usages.glosses(synsets, found, rngs["wn_sense"]),
        "wn_order": order.samples(synsets, rngs["wn_order"]),
    }
    insult = insults.pattern(synsets)
    return {
        task: [sample for sample in samples if not any(map(insult.search, sample.texts))]
        for task, samples in drawn.items()
    }


def columns(samples: list[Sample]) -> dict[str, list[str] | list[int] | None]:
    """The samples, a list a field."""
    pairs = samples[0].second is not None
    return {
        "first": [sample.first for sample in samples],
        "second": [sample.texts[1] for sample in samples] if pairs else None,
        "labels": [sample.label for sample in samples],
    }


def compressed(content: bytes) -> bytes:
    """The content as a gzip file that names no time, file or operating system."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
