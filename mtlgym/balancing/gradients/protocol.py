"""What a gradient method is."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class GradientMethod(Protocol):
    """A gradient method: a dataclass; public fields are its settings, private ones its state.

    It is called exactly once a step. It gives its private fields new values and changes none in
    place, so a shallow copy of it is a copy of its state.

    With `needs_jacobian` false the call takes the Gramian K = G G^T, (tasks, tasks), of the tasks'
    gradients G, (tasks, parameters), and returns weights w, (tasks,), float64 on the CPU, always
    finite; the direction is G^T w. With `needs_jacobian` true the call takes G itself and returns
    the direction, (parameters,), in the type and on the device of G.
    """

    @property
    def needs_jacobian(self) -> bool:
        """Whether the call takes G and returns the direction, not K and the weights."""

    @property
    def needs_losses(self) -> bool:
        """Whether the call makes use of `losses`."""

    @property
    def transform(self) -> str:
        """What the gradients are of: the losses, "none", or their logarithms, "log"."""

    @property
    def head_weighting(self) -> str:
        """How its paper's code trains what belongs to one task: "weighted" by w, or "unit"."""

    def __call__(
        self, gramian: Any, losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " n"]:
        """The weights, or with `needs_jacobian` the direction."""
