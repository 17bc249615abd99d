"""The options of a training: gradient method, optimizer, learning-rate schedule, budget."""

from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from mtlgym import checks
from mtlgym.balancing.backward import AUTO, HEAD_WEIGHTINGS, Aggregation
from mtlgym.balancing.jacobian.hooks import TrunkHooks
from mtlgym.balancing.jacobian.strategies import STRATEGIES, check_reducible
from mtlgym.balancing.method import gradient_method
from mtlgym.distributed.collectives import Group
from mtlgym.lookup import lookup
from mtlgym.training.hardware import Hardware
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS, Parameters


@dataclass(frozen=True)
class Balance:
    """A gradient method and how it is applied; without one, gradients are added up.

    Attributes:
        aggregator: a gradient method with its settings, such as `nash` or `cagrad:c=0.4`, which
            balances the gradients of the weighted terms; None adds them up.
        jacobian: how the tasks' gradients are computed: `loop`, `batched`, `heads_loop`,
            `heads_batched`, `layers` or `threads`, which are all exact and differ in speed and
            rounding; `features`, which is fast and approximate; `auto` times the exact ones in the
            first step, so that runs with one seed may differ by rounding.
        head_weighting: the weights of the heads' losses: `weighted` for those of the gradient
            method, `unit` for 1, or None for the default of the method's paper.
        max_norm: largest norm of the shared parameters' gradient, which is scaled down to it; None
            for no bound.
    """

    aggregator: str | None = None
    jacobian: str = "heads_loop"
    head_weighting: str | None = None
    max_norm: float | int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.aggregator is not None:
            if not isinstance(self.aggregator, str):
                raise ValueError(f"`aggregator` must be a text or None, not {self.aggregator!r}")
            gradient_method(self.aggregator)
        lookup({AUTO: None, **STRATEGIES}, self.jacobian, "jacobian strategy")
        if self.head_weighting is not None:
            lookup(dict.fromkeys(HEAD_WEIGHTINGS), self.head_weighting, "`head_weighting`")
        if self.max_norm is not None:
            checks.real("max_norm", self.max_norm, 0.0, open_end=True, most=checks.MOST)

    def aggregation(
        self, model: nn.Module, group: Group = None
    ) -> tuple[Aggregation, TrunkHooks] | None:
        """A fresh run of the method on a model with `trunk` and `heads`, and its hooks.

        The gradients are averaged over the group, if there is one.

        Raises:
            ValueError: if the model has no shared parameters.
        """
        if self.aggregator is None:
            return None
        trunk, heads = model.trunk, model.heads
        assert isinstance(trunk, nn.Module)
        hooks = TrunkHooks(trunk, list(heads) if isinstance(heads, nn.ModuleList) else ())
        shared = [parameter for parameter in trunk.parameters() if parameter.requires_grad]
        if not shared:
            raise ValueError(
                f"`aggregator` {self.aggregator!r} balances the gradients of shared parameters, "
                "which this model has none of"
            )
        aggregation = Aggregation(
            gradient_method(self.aggregator),
            shared,
            hooks=hooks,
            strategy=self.jacobian,
            head_weighting=self.head_weighting,
            group=group,
        )
        return aggregation, hooks


@dataclass(frozen=True)
class Training:
    """How a model is trained, whichever agent chooses the weights.

    Attributes:
        epochs: length of a training in epochs.
        steps: length in optimizer steps, in place of `epochs`.
        batch_size: samples of a source in a batch.
        drop_last: leave out an epoch's last batch where it is smaller.
        optimizer: a key of `OPTIMIZERS`.
        lr: the learning rate, which the scheduler's factors multiply.
        weight_decay: weight decay of the optimizer.
        scheduler: a key of `SCHEDULERS`; changes the learning rate after every epoch or, for
            `linear` and `halve_fifths`, after every step.
        validate_every: epochs between two validations; 0 for no validation at the end of epochs.
        validate_steps: optimizer steps between two validations, in place of `validate_every`.
        keep_best: whether the parameters that validated best are kept and tested; if not, those at
            the end are tested.
        balance: how the tasks' gradients are combined.
        hardware: where and how the model is computed.
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 32
    drop_last: bool = False
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    scheduler: str = "constant"
    validate_every: int = 1
    validate_steps: int | None = None
    keep_best: bool = True
    balance: Balance = field(default_factory=Balance)
    hardware: Hardware = field(default_factory=Hardware)

    def __post_init__(self) -> None:
        """Check the values."""
        longest = checks.WHOLE - 1
        checks.integer("epochs", self.epochs, least=1, most=longest)
        checks.integer("batch_size", self.batch_size, least=1, most=checks.SIZE)
        for name in ("steps", "validate_steps"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), least=1, most=longest)
        checks.real("lr", self.lr, 0.0, open_end=True, most=checks.MOST)
        checks.real("weight_decay", self.weight_decay, 0.0, most=checks.MOST)
        checks.integer("validate_every", self.validate_every, least=0, most=longest)
        checks.flag("drop_last", self.drop_last)
        checks.flag("keep_best", self.keep_best)
        lookup(OPTIMIZERS, self.optimizer, "optimizer")
        lookup(SCHEDULERS, self.scheduler, "scheduler")
        if self.scheduler == "plateau" and (self.validate_every != 1 or self.validate_steps):
            raise ValueError("scheduler 'plateau' needs `validate_every=1` and no `validate_steps`")
        balance = self.balance
        if self.hardware.distributed and balance.aggregator and balance.jacobian != AUTO:
            check_reducible(balance.jacobian)

    def make_optimizer(self, parameters: Parameters) -> Optimizer:
        """Build the optimizer of these parameters."""
        fused = self.hardware.fused or None  # None lets torch choose, as it does by default
        return OPTIMIZERS[self.optimizer](parameters, self.lr, self.weight_decay, fused)
