"""How the tasks' gradients become one, under the weights of whatever decides them."""

from dataclasses import dataclass

from torch import nn

from mtlgym import checks
from mtlgym.balancing.backward import AUTO, HEAD_WEIGHTINGS, Aggregation
from mtlgym.balancing.jacobian.hooks import Tap
from mtlgym.balancing.jacobian.strategies import STRATEGIES
from mtlgym.balancing.method import gradient_method
from mtlgym.distributed.collectives import Group
from mtlgym.lookup import lookup


@dataclass(frozen=True)
class Balance:
    """A gradient method and how it is put to work; without one, gradients are added up.

    Attributes:
        aggregator: a gradient method with its settings, such as `nash` or `cagrad:c=0.4`, which
            balances the gradients of the weighted terms; None adds them up.
        jacobian: how the tasks' gradients are made: `loop`, `batched`, `heads_loop`,
            `heads_batched`, `layers` or `threads`, exact all, which differ in speed and rounding;
            `features`, which is fast and approximate; `auto` times the exact ones in the first
            step, so that runs of one seed may differ by rounding.
        head_weighting: what the heads are trained on: `weighted` by the gradient method, `unit`,
            or None for the default of the method's paper.
        max_norm: the shared parameters' gradient is scaled down to this norm; None leaves it.
    """

    aggregator: str | None = None
    jacobian: str = "heads_loop"
    head_weighting: str | None = None
    max_norm: float | int | None = None

    def __post_init__(self) -> None:
        """Refuse names and numbers that mean nothing."""
        if self.aggregator is not None:
            if not isinstance(self.aggregator, str):
                raise ValueError(f"`aggregator` must be a text or None, not {self.aggregator!r}")
            gradient_method(self.aggregator)
        lookup({AUTO: None, **STRATEGIES}, self.jacobian, "jacobian strategy")
        if self.head_weighting is not None:
            lookup(dict.fromkeys(HEAD_WEIGHTINGS), self.head_weighting, "`head_weighting`")
        if self.max_norm is not None:
            checks.real("max_norm", self.max_norm, 0.0, open_end=True, most=checks.MOST)

    def aggregation(self, model: nn.Module, group: Group = None) -> tuple[Aggregation, Tap] | None:
        """A fresh run of the method on a model with `trunk` and `heads`, and its tap.

        The gradients are averaged over the group, if there is one.

        Raises:
            ValueError: if the tasks share nothing.
        """
        if self.aggregator is None:
            return None
        trunk, heads = model.trunk, model.heads
        assert isinstance(trunk, nn.Module)
        tap = Tap(trunk, list(heads) if isinstance(heads, nn.ModuleList) else ())
        shared = [parameter for parameter in trunk.parameters() if parameter.requires_grad]
        if not shared:
            raise ValueError(
                f"`aggregator` {self.aggregator!r} balances the gradients of shared parameters, "
                "which this model has none of"
            )
        aggregation = Aggregation(
            gradient_method(self.aggregator),
            shared,
            tap=tap,
            strategy=self.jacobian,
            head_weighting=self.head_weighting,
            group=group,
        )
        return aggregation, tap
