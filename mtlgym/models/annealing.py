"""Annealing of the objective of variational multi-task learning during training."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mtlgym import checks
from mtlgym.lookup import lookup

# After so many changes, the multiples of `cooling_every` in the exponent.
COOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "compounded": lambda changes: changes * (changes + 1) / 2,
    "exponential": lambda changes: changes,
}
MOST = 1e38  # of any number, which float32 holds


@dataclass(frozen=True)
class Annealing:
    """Weights of the divergences, which rise, and the temperature of A's draws, which falls.

    All are functions of the number of optimizer steps, whatever the number of tasks.

    Source: Variational Multi-Task Learning (2021), section 4.2, and its published code.
    Differs from the code in that the number of tasks has no effect; there, the weight of w's
    divergence rises by some 1e-7 a step and task, and the temperature falls as many times as there
    are tasks. Differs from the text in that z's divergence has the code's constant weight, not
    that of w's: with the text's, trainings collapse or diverge.

    Attributes:
        kl_z: weight of z's divergence at the start; 0 in the text.
        kl_z_rate: its increase in each step, up to a weight of 1; 1e-6 in the text.
        kl_w: weight of w's divergence at the start.
        kl_w_rate: its increase in each step, up to a weight of 1.
        cooling: `compounded`, the temperature is multiplied by exp(-rate s) at every step s that
            is a multiple of `cooling_every`, or `exponential`, it is exp(-rate s) at the last of
            these (Jang, Gu, Poole, 2016, which the text refers to).
        cooling_rate: the rate.
        cooling_every: steps from one change of the temperature to the next.
        coolest: the temperature's floor; with 1 or more it stays 1.
    """

    kl_z: float = 1e-7
    kl_z_rate: float = 0.0
    kl_w: float = 0.0
    kl_w_rate: float = 1e-6
    cooling: str = "compounded"
    cooling_rate: float = 3e-5
    cooling_every: int = 1000
    coolest: float = 0.5

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        lookup(COOLINGS, self.cooling, "`cooling`")
        for name in ("kl_z", "kl_z_rate", "kl_w", "kl_w_rate", "cooling_rate"):
            checks.real(name, getattr(self, name), 0.0)
        checks.real("coolest", self.coolest, 0.0, open_end=True)
        checks.integer("cooling_every", self.cooling_every, least=1, most=checks.WHOLE - 1)
        for name, value in vars(self).items():
            if not isinstance(value, str) and value > MOST:
                raise ValueError(f"`{name}` must be at most {MOST:g}, not {value!r}")

    def weight_z(self, step: Tensor) -> Tensor:
        """The weight of z's divergence after so many steps, ()."""
        return (self.kl_z + self.kl_z_rate * step).clamp(max=max(1.0, self.kl_z))

    def weight_w(self, step: Tensor) -> Tensor:
        """The weight of w's divergence after so many steps, ()."""
        return (self.kl_w + self.kl_w_rate * step).clamp(max=max(1.0, self.kl_w))

    def temperature(self, step: Tensor) -> Tensor:
        """The temperature after so many steps, (): 1 at first, at least `coolest`."""
        changes = (step / self.cooling_every).floor()
        at = COOLINGS[self.cooling](changes) * self.cooling_every
        return (-self.cooling_rate * at).exp().clamp(min=min(1.0, self.coolest))
