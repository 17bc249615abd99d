"""Gradient-balancing methods: each maps the tasks' gradients, through their Gramian, to weights."""

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
from mtlgym.balancing.gradients.protocol import GradientMethod
from mtlgym.balancing.gradients.torchjd import TorchJD
from mtlgym.balancing.gradients.upgrad import UPGrad

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
