"""Many small networks at once, one for each agent and depth, and the Adam that trains them."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

MOMENTS = (0.9, 0.999)  # decay rates of Adam's two moments
EPSILON = 1e-8
MOST = 1e6  # rewards and targets are clipped to [-MOST, MOST], so that squares stay finite
NetworkInputs = tuple[Tensor, Tensor, Tensor]  # agent, depth and features of each row


def network_inputs(
    agent: NDArray[Any], depth: NDArray[Any], features: NDArray[Any]
) -> NetworkInputs:
    """The inputs of `Stacked`, from arrays (N,), (N,) and (N, features), with shared memory."""
    return torch.from_numpy(agent), torch.from_numpy(depth), torch.from_numpy(features)


class Stacked(nn.Module):
    """Networks of two layers side by side, each row of a batch through its own agent's and depth's.

    y = relu(x W[agent, depth] + b[agent, depth]) V[agent, depth] + c[agent, depth]. Rows of one
    network are multiplied together, so a batch costs two batched products for any number of
    networks. All start as `nn.Linear` does: uniform within 1 / sqrt(inputs) of 0.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3: two
    layers with 64 hidden units for each agent and depth; the ReLU is ours.
    """

    def __init__(
        self,
        networks: tuple[int, int],
        sizes: tuple[int, int, int],
        rng: np.random.Generator,
    ) -> None:
        """Create the networks.

        Args:
            networks: agents and depths.
            sizes: features, hidden units and outputs of each network.
            rng: draws the seed of a private generator, which draws the parameters.
        """
        super().__init__()
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        features, hidden, outputs = sizes
        self.inner = nn.Parameter(_uniform((*networks, features, hidden), features, generator))
        self.inner_bias = nn.Parameter(_uniform((*networks, 1, hidden), features, generator))
        self.outer = nn.Parameter(_uniform((*networks, hidden, outputs), hidden, generator))
        self.outer_bias = nn.Parameter(_uniform((*networks, 1, outputs), hidden, generator))

    def forward(
        self,
        agent: Int[Tensor, " rows"],
        depth: Int[Tensor, " rows"],
        features: Float[Tensor, "rows features"],
    ) -> Float[Tensor, "rows outputs"]:
        """The outputs of each row's network; networks without rows have gradients of exactly 0."""
        which = agent * self.inner.shape[1] + depth
        used, group, counts = torch.unique(which, return_inverse=True, return_counts=True)
        place = _places(group, counts)
        longest = int(counts.max())
        blocks = features.new_zeros(len(used), longest, features.shape[1])
        blocks[group, place] = features
        inner, inner_bias, outer, outer_bias = (_some(each, used) for each in self.parameters())
        hidden = torch.baddbmm(inner_bias, blocks, inner).relu()
        return torch.baddbmm(outer_bias, hidden, outer)[group, place]


class Adam:
    """Adam for each network of a stack on its own: one without a row in the batch stays as it is.

    With gradient g, m' = .9 m + .1 g, s' = .999 s + .001 g^2 and the t-th step of a network,

        parameters' = parameters - rate (m' / (1 - .9^t)) / (sqrt(s' / (1 - .999^t)) + 1e-8).

    Source: Kingma, Ba (ICLR 2015), https://arxiv.org/abs/1412.6980, Algorithm 1.
    Differs from it in that a step leaves a network without a row, and its m, s and t, unchanged;
    its m would move it otherwise.
    """

    def __init__(self, network: Stacked, learning_rate: float) -> None:
        """Start with moments of 0."""
        self.network, self.learning_rate = network, learning_rate
        self._first = {k: torch.zeros_like(p) for k, p in network.state_dict().items()}
        self._second = {k: torch.zeros_like(p) for k, p in network.state_dict().items()}
        self._steps = torch.zeros(network.inner.shape[:2], dtype=torch.int64)

    def step(self, loss: Tensor, agent: Int[Tensor, " rows"], depth: Int[Tensor, " rows"]) -> None:
        """Take one step down the loss with the networks of these rows."""
        parameters = dict(self.network.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        used = torch.unique(agent * self._steps.shape[1] + depth)
        self._steps.view(-1)[used] += 1
        count = self._steps.view(-1)[used].double()[:, None, None]
        keep, keep_square = MOMENTS
        unbias, unbias_square = (1 - keep**count).float(), (1 - keep_square**count).float()
        with torch.no_grad():
            for (name, parameter), whole in zip(parameters.items(), gradients, strict=True):
                gradient, kept = _some(whole, used), (self._first[name], self._second[name])
                mean = _some(kept[0], used).lerp_(gradient, 1 - keep)
                square = _some(kept[1], used).lerp_(gradient.square_(), 1 - keep_square)
                for old, new in zip(kept, (mean, square), strict=True):
                    old.flatten(0, 1).index_copy_(0, used, new)
                spread = square.div_(unbias_square).sqrt_().add_(EPSILON)
                change = mean.div_(unbias).div_(spread).mul_(-self.learning_rate)
                parameter.flatten(0, 1).index_add_(0, used, change)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the parameters, the moments and the steps of each network."""
        return {
            "parameters": _copies(self.network.state_dict()),
            "first": _copies(self._first),
            "second": _copies(self._second),
            "steps": self._steps.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`, the network's parameters included."""
        self.network.load_state_dict(state["parameters"])
        self._first, self._second = _copies(state["first"]), _copies(state["second"])
        self._steps = state["steps"].clone()


def _uniform(shape: tuple[int, ...], inputs: int, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)


def _some(stacked: Tensor, used: Tensor) -> Tensor:
    """A copy of the entries of the used networks, (used, in, out)."""
    return stacked.flatten(0, 1).index_select(0, used)


def _places(group: Tensor, counts: Tensor) -> Tensor:
    """How many rows of the same group come before each row, (rows,)."""
    order = group.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - starts[group[order]]
    return place


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}
