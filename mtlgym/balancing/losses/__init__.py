"""Loss-balancing methods: each maps the tasks' losses to their weights."""

from mtlgym.balancing.losses.dwa import DWA
from mtlgym.balancing.losses.equal import Equal
from mtlgym.balancing.losses.famo import FAMO
from mtlgym.balancing.losses.fixed import Fixed
from mtlgym.balancing.losses.gls import GLS
from mtlgym.balancing.losses.go4align import GO4Align
from mtlgym.balancing.losses.igbv1 import IGBv1
from mtlgym.balancing.losses.rlw import RLW
from mtlgym.balancing.losses.si import SI
from mtlgym.balancing.losses.uw import UW

LOSS_METHODS: dict[str, type] = {
    "dwa": DWA,
    "equal": Equal,
    "famo": FAMO,
    "fixed": Fixed,
    "gls": GLS,
    "go4align": GO4Align,
    "igbv1": IGBv1,
    "rlw": RLW,
    "si": SI,
    "uw": UW,
}

__all__ = [
    "DWA",
    "FAMO",
    "GLS",
    "LOSS_METHODS",
    "RLW",
    "SI",
    "UW",
    "Equal",
    "Fixed",
    "GO4Align",
    "IGBv1",
]
