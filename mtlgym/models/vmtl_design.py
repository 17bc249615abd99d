"""What a model of variational multi-task learning, or one that it is compared with, is built by."""

from dataclasses import dataclass

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.models.gaussian_encoder import ENCODERS
from mtlgym.models.relatedness import PRIORS


@dataclass(frozen=True)
class VMTLVariant:
    """The variant of a model: what the tasks share, and what is a distribution.

    Attributes:
        shared: whether the tasks share the encoder; without, nothing at all.
        latent: whether z is Gaussian; without, a point.
        classifiers: what w is: `point`, `gaussian` or `amortised`.
        related: whether priors are mixtures of the other tasks' posteriors; otherwise N(0, I).
    """

    shared: bool
    latent: bool
    classifiers: str
    related: bool = True


MODELS = {
    "bmtl": VMTLVariant(shared=True, latent=False, classifiers="point"),
    "stl": VMTLVariant(shared=False, latent=False, classifiers="point"),
    "vmtl": VMTLVariant(shared=True, latent=True, classifiers="gaussian"),
    "vmtl_ac": VMTLVariant(shared=True, latent=True, classifiers="amortised"),
    "vmtl_w": VMTLVariant(shared=True, latent=False, classifiers="gaussian"),
    "vmtl_z": VMTLVariant(shared=True, latent=True, classifiers="point"),
    "vstl": VMTLVariant(shared=False, latent=True, classifiers="gaussian", related=False),
}


@dataclass(frozen=True)
class Design:
    """Everything that a model is built by, but for its schedules and the sizes of the data.

    Attributes:
        model: `stl`, single-task models; `vstl`, the same with Gaussian z and w and priors
            N(0, I); `bmtl`, a shared encoder with a classifier a task; `vmtl`; `vmtl_ac`, with
            amortised classifiers; `vmtl_z` and `vmtl_w`, with z or w alone as a distribution.
        prior: how priors weigh the other tasks: `gumbel_categorical` (the code: one of the others),
            `gumbel` (the text: each pair is related or not; the weights' sum can be above 1, and
            then posteriors that share parameters grow without end), `mean` or `learnable`.
        encoder: `mlp` (the text) or `bayesian_linear` (the code).
        hidden: units of perceptrons' hidden layers.
        latent: numbers in z.
        samples: draws of z, and of w for each.
        local: whether class scores are drawn, which is faster and less noisy, not w itself; the
            text has it without amortised classifiers, and the code nowhere.
        dropout: of the features in training; the code has 0.7, and the text says nothing.
        kl_per_number: whether z's divergence is a mean over its numbers (the code), not the sum
            (the text).
    """

    model: str = "vmtl"
    prior: str = "gumbel_categorical"
    encoder: str = "mlp"
    hidden: int = 512
    latent: int = 512
    samples: int = 10
    local: bool = True
    dropout: float = 0.0
    kl_per_number: bool = True

    def __post_init__(self) -> None:
        """Refuse names and numbers that mean nothing."""
        lookup(MODELS, self.model, "model")
        lookup(PRIORS, self.prior, "prior")
        lookup(ENCODERS, self.encoder, "encoder")
        for name in ("hidden", "latent", "samples"):
            checks.integer(name, getattr(self, name), least=1, most=checks.SIZE)
        checks.flag("local", self.local)
        checks.fraction("dropout", self.dropout)
        checks.flag("kl_per_number", self.kl_per_number)

    @property
    def form(self) -> VMTLVariant:
        """What is shared, and what is a distribution."""
        return MODELS[self.model]
