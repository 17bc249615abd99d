"""Gradient-balancing methods: each maps the tasks' gradients, through their Gramian, to weights."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients.aligned_mtl import AlignedMTL
from mtlgym.balancing.gradients.cagrad import CAGrad
from mtlgym.balancing.gradients.db_mtl import DBMTL
from mtlgym.balancing.gradients.dualproj import DualProj
from mtlgym.balancing.gradients.fairgrad import FairGrad
from mtlgym.balancing.gradients.graddrop import GradDrop
from mtlgym.balancing.gradients.gradnorm import GradNorm
from mtlgym.balancing.gradients.imtl_g import IMTLG
from mtlgym.balancing.gradients.mgda import MGDA
from mtlgym.balancing.gradients.nash import Nash
from mtlgym.balancing.gradients.pcgrad import PCGrad
from mtlgym.balancing.gradients.torchjd import TorchJD
from mtlgym.balancing.gradients.upgrad import UPGrad


@runtime_checkable
class GradientMethod(Protocol):
    """A gradient method: a dataclass; public fields are its settings, private ones its state.

    It is called exactly once a step. It assigns new values to its private fields and changes none
    in place, so a shallow copy of it is a copy of its state.

    With `needs_jacobian` false the call takes the Gramian K = G G^T, (tasks, tasks), of the tasks'
    gradients G, (tasks, parameters), and returns weights w, (tasks,), float64 on the CPU, always
    finite; the direction is G^T w. With `needs_jacobian` true the call takes G itself and returns
    the direction, (parameters,), in the type and on the device of G.
    """

    @property
    def needs_jacobian(self) -> bool:
        """Whether the call takes G and returns the direction, not K and the weights."""

    @property
    def transform(self) -> str:
        """What is differentiated: the losses, "none", or their logarithms, "log"."""

    @property
    def head_weighting(self) -> str:
        """How its paper's code weights the losses of the heads: "weighted" by w, or "unit"."""

    def __call__(
        self, gramian: Any, losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " n"]:
        """The weights, or with `needs_jacobian` the direction; few methods use the losses."""


GRADIENT_METHODS: dict[str, type] = {
    "aligned_mtl": AlignedMTL,
    "cagrad": CAGrad,
    "db_mtl": DBMTL,
    "dualproj": DualProj,
    "fairgrad": FairGrad,
    "graddrop": GradDrop,
    "gradnorm": GradNorm,
    "imtl_g": IMTLG,
    "mgda": MGDA,
    "nash": Nash,
    "pcgrad": PCGrad,
    "upgrad": UPGrad,
}

__all__ = [
    "DBMTL",
    "GRADIENT_METHODS",
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "DualProj",
    "FairGrad",
    "GradDrop",
    "GradNorm",
    "GradientMethod",
    "Nash",
    "PCGrad",
    "TorchJD",
    "UPGrad",
]
