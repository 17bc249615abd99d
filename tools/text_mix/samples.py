"""Deal samples out to the splits so that nothing that two of them share crosses."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
ORDER = ("test", "val", "train")  # the small splits choose first


@dataclass(frozen=True)
class Sample:
    """One labelled text or pair of texts.

    Attributes:
        first: the text, or the first of the pair.
        second: of the pair; None where there is none.
        label: index of the class.
        keys: what no two splits may both have, of any task: lemmas, synsets, reviews.
    """

    first: str
    second: str | None
    label: int
    keys: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """One text, or two."""
        return (self.first,) if self.second is None else (self.first, self.second)


@dataclass(frozen=True)
class Size:
    """How many samples a task has.

    Attributes:
        train: in the training split.
        held: in each of the other two.
        classes: number of classes that have equal shares; 0 for shares as they come.
    """

    train: int
    held: int = 300
    classes: int = 2


class Dealer:
    """Says which samples a split may have, given what was dealt before."""

    def __init__(self) -> None:
        """Nothing is dealt yet."""
        self._home: dict[str, str] = {}  # key: the split that it is in
        self._dealt: set[tuple[str, ...]] = set()

    def take(self, task: str, split: str, sample: Sample) -> bool:
        """Note the sample as dealt, unless it was before or another split has a key of it.

        A text is a key of its own, so that no text is in two splits, of whatever tasks.
        """
        texts = [plain(text) for text in sample.texts]
        keys = [*sample.keys, *texts]
        if (task, *texts) in self._dealt or any(self._home.get(k, split) != split for k in keys):
            return False
        self._dealt.add((task, *texts))
        self._home.update(dict.fromkeys(keys, split))
        return True


def plain(text: str) -> str:
    """The text without capitals and punctuation, which do not make it another text."""
    return " ".join(re.findall(r"\w+", text.lower())) or text


def words(text: str) -> int:
    """How many words a text has, as spaces part them."""
    return len(text.split())


def shuffled(items: Iterable[Item], rng: np.random.Generator) -> list[Item]:
    """The items in an order drawn at random."""
    items = list(items)
    return [items[i] for i in rng.permutation(len(items))]


def deal(
    candidates: Mapping[str, Sequence[Sample]], sizes: Mapping[str, Size]
) -> dict[str, dict[str, list[Sample]]]:
    """The samples by task and split: of the candidates, in their order, those that may be had.

    Raises:
        ValueError: if a task has too few of a class.
    """
    dealer = Dealer()
    dealt: dict[str, dict[str, list[Sample]]] = {task: {} for task in candidates}
    for split in ORDER:
        for task, samples in candidates.items():
            size = sizes[task]
            wanted = size.train if split == "train" else size.held
            taken = _some(dealer, (task, split), samples, wanted, size.classes)
            if len(taken) < wanted:
                raise ValueError(f"{task} has only {len(taken)} of {wanted} samples for {split}")
            dealt[task][split] = taken
    return dealt


def _some(
    dealer: Dealer, where: tuple[str, str], samples: Sequence[Sample], wanted: int, classes: int
) -> list[Sample]:
    """As many samples as wanted, or all that may be had; of each class at most its share."""
    share = -(-wanted // classes) if classes else wanted
    counts: Counter[int] = Counter()
    taken: list[Sample] = []
    for sample in samples:
        if len(taken) == wanted:
            break
        if counts[sample.label] < share and dealer.take(*where, sample):
            counts[sample.label] += 1
            taken.append(sample)
    return taken
