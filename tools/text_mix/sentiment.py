"""Sentiment: texts whose mean rating by some twenty people is clearly positive or negative."""

import html
from itertools import groupby

import numpy as np
from scipy.sparse import csr_matrix

from text_mix.samples import Sample, plain, shuffled, words

CLEAR = 0.5  # least distance of a mean rating, which lies in [-4, 4], from neutral
LENGTHS = range(2, 41)  # words
ALIKE = 0.6  # least share of common words that makes two texts versions of one
BLOCK = 500  # texts that are compared with all others at a time


def samples(name: str, table: str, rng: np.random.Generator) -> list[Sample]:
    """Rated texts, 1 for positive; those of one review stand together and share a key.

    Args:
        name: what the table is called in the keys.
        table: lines of identifier, mean rating and text, parted by tabs. The identifier of a
            sentence of a review is that of the review, `_` and a number.
        rng: draws the order of the reviews.
    """
    rows = [line.strip().split("\t") for line in table.split("\n") if line.strip()]
    rated = [(row[0].split("_")[0], float(row[1]), clean(row[2])) for row in rows if len(row) == 3]
    clear = [row for row in rated if abs(row[1]) >= CLEAR and words(row[2]) in LENGTHS]
    kept = [clear[i] for i in originals([text for _, _, text in clear])]
    reviews = [(key, list(group)) for key, group in groupby(kept, lambda row: row[0])]
    return [
        Sample(text, None, int(rating > 0), (f"{name} {review}",))
        for review, group in shuffled(reviews, rng)
        for _, rating, text in group
    ]


def clean(text: str) -> str:
    """The text with single spaces and characters in place of HTML's names of them."""
    return " ".join(html.unescape(html.unescape(text)).split())  # some are escaped twice


def originals(texts: list[str]) -> list[int]:
    """Which texts are no version of an earlier one.

    The tweets have versions of each other that differ in emphasis: "Yay! Another good phone
    interview!!" and "YAY. Another extremely good phone interview".
    """
    bags = [sorted(set(plain(text).split())) for text in texts]
    sizes = np.array([len(bag) for bag in bags])
    number = {word: i for i, word in enumerate(sorted(set().union(*bags)))}
    columns = np.array([number[word] for bag in bags for word in bag])
    ones = np.ones(len(columns), np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    has = csr_matrix((ones, columns, starts), shape=(len(texts), len(number)))
    kept: list[int] = []
    for first in range(0, len(texts), BLOCK):
        common = (has[first : first + BLOCK] @ has.T).toarray()
        rows = np.arange(first, first + len(common))
        alike = common >= ALIKE * (sizes[rows, None] + sizes - common)
        alike &= np.arange(len(texts)) < rows[:, None]
        kept += rows[~alike.any(axis=1)].tolist()
    return kept
