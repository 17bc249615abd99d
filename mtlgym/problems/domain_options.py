"""The options of problems of domains, checked before any data are read."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.problems.scaling import SCALES

LARGEST = 1e30  # shift of an attack
RELATED = ("class_mean", "attention")


@dataclass(frozen=True)
class Labels:
    """Which samples are labelled, and what features they have.

    Attributes:
        features: `files` for those in the data set's folder, the name of a folder in its folder
            `features`, or `auto` for what there is.
        scaling: a key of `SCALES`: how the features are scaled.
        fraction: share of each class's samples that are for training and validation, at least one.
        validation: share of these that is held out, as far as a sample of each class stays.
        split_seed: of which samples they are.
        related: what stands in z's prior for another task's samples of the class: their
            `class_mean` (the text), or a mean by `attention` for each sample (the code).
    """

    features: str = "auto"
    scaling: str = "none"
    fraction: float = 0.05
    validation: float = 0.2
    split_seed: int = 0
    related: str = "class_mean"

    def __post_init__(self) -> None:
        """Refuse values that are not allowed."""
        lookup(SCALES, self.scaling, "scaling")
        if not isinstance(self.features, str):
            raise ValueError(f"`features` must be a text, not {self.features!r}")
        checks.share("fraction", self.fraction)
        checks.fraction("validation", self.validation)
        checks.integer("split_seed", self.split_seed, least=0)
        lookup(dict.fromkeys(RELATED), self.related, "`related`")


@dataclass(frozen=True)
class Measurement:
    """How a model is measured.

    Attributes:
        test_samples: draws that predictions are means over; 0 for the posteriors' means, as
            published.
        attack: shifts of the features by the fast gradient sign method, for each of which the
            accuracy is measured too.
    """

    test_samples: int = 0
    attack: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        checks.integer("test_samples", self.test_samples, least=0)
        if isinstance(self.attack, str) or not isinstance(self.attack, Sequence):
            raise ValueError(f"`attack` must be a list or tuple of shifts, not {self.attack!r}")
        for place, epsilon in enumerate(self.attack):
            checks.real(f"attack[{place}]", epsilon, 0.0)
            if epsilon > LARGEST:
                raise ValueError(f"shifts of `attack` must be at most {LARGEST:g}, not {epsilon!r}")
        if len({f"{epsilon:g}" for epsilon in self.attack}) < len(self.attack):
            raise ValueError(f"`attack` must have each shift once, not {self.attack!r}")
