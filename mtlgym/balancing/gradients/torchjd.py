"""The aggregators of TorchJD, as gradient methods."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.lookup import unknown
from mtlgym.randomness import private_randomness


@dataclass
class TorchJD:
    """Use an aggregator of TorchJD: the direction, or the weights where the Gramian is enough.

        TorchJD("CAGrad", {"c": 0.5})

    Source: Quinton, Rey (2024), https://arxiv.org/abs/2406.16232, and https://torchjd.org. TorchJD
    trains heads with unit weights.
    Differs from it in that its draws come from a generator seeded by (`seed`, number of the call),
    in that a list among the settings becomes a float64 tensor (the gradients are then passed in
    float64 too), and in that a result that is not finite raises an error.

    An aggregator with a state of its own (TorchJD's `Stateful`: GradVac, NashMTL, ...) is copied in
    each call, so that a copy of this method is a copy of its state. TorchJD has no complete way to
    save such a state, so a run that uses one cannot be resumed from a checkpoint: the call raises.

    Zero, equal and opposing gradients are handled as TorchJD does.

    Attributes:
        name: of a class in `torchjd.aggregation`, such as "UPGrad".
        settings: arguments of its constructor.
        seed: of its draws, a non-negative integer.

    Raises:
        ImportError: if TorchJD is not installed.
        ValueError: for a name or a setting that TorchJD does not have.
        ArithmeticError: in the call, if the result is not finite.
        RuntimeError: in the call, after loading a state that the aggregator cannot be restored to.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"
    _calls: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the aggregator."""
        checks.integer("seed", self.seed, 0)
        self.aggregator, self.needs_jacobian, self.stateful = _build(self.name, self.settings)
        self.wide = any(isinstance(value, list | tuple) for value in self.settings.values())
        self.calls_of_aggregator = 0

    def __call__(
        self,
        gramian: Float[Tensor, "tasks columns"],
        losses: Float[Tensor, " tasks"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Return the weights, or the direction if `needs_jacobian`: then pass the Jacobian."""
        if self.stateful and self.calls_of_aggregator != self._calls:
            raise RuntimeError(
                f"a run with TorchJD's {self.name} cannot be resumed from a saved state"
            )
        aggregator = copy.deepcopy(self.aggregator) if self.stateful else self.aggregator
        given = gramian.detach()
        if not self.needs_jacobian:
            given = given.to("cpu", torch.float64)
        elif self.wide:
            given = given.double()
        with private_randomness(given.device, self.seed, self._calls):
            result = aggregator(given)
        if not torch.isfinite(result).all():
            raise ArithmeticError(f"TorchJD's {self.name} gave a result that is not finite")
        self.aggregator = aggregator
        self._calls += 1
        self.calls_of_aggregator = self._calls
        return result.to(gramian) if self.needs_jacobian else result


def _build(name: str, settings: Mapping[str, Any]) -> tuple[Any, bool, bool]:
    """The aggregator, or its weighting of Gramians; if it needs the Jacobian; if it has a state."""
    try:
        from torchjd import Stateful, aggregation
    except ImportError as error:
        raise ImportError(
            "TorchJD's aggregators need torchjd: pip install mtlgym[torchjd]"
        ) from error
    kinds = {key: value for key, value in vars(aggregation).items() if _usable(value, aggregation)}
    if name not in kinds:
        raise ValueError(unknown(name, kinds, "aggregator of TorchJD"))
    parameters = inspect.signature(kinds[name]).parameters
    for key in settings:
        if key not in parameters:
            raise ValueError(unknown(key, parameters, f"setting of TorchJD's {name}"))
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in settings:
            raise ValueError(f"setting `{key}` of TorchJD's {name} must be given")
    values = {key: _tensor(value) for key, value in settings.items()}
    built = kinds[name](**values)
    if isinstance(built, aggregation.GramianWeightedAggregator):
        return built.gramian_weighting, False, isinstance(built, Stateful)
    return built, True, isinstance(built, Stateful)


def _usable(value: Any, aggregation: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, aggregation.Aggregator)
        and not inspect.isabstract(value)
        and not value.__name__.endswith("WeightedAggregator")
    )


def _tensor(value: Any) -> Any:
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, list | tuple) else value
