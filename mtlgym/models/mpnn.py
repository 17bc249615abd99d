"""Message-passing network for molecules, as published with the QM9 benchmark."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models.edge_conv import EdgeConditionedConv


def sum_over_sets(
    values: Float[Tensor, "elements features"], index: Int[Tensor, " elements"], sets: int
) -> Float[Tensor, "sets features"]:
    """The sum of each set's elements; `index` says which set an element is of."""
    rows = index[:, None].expand_as(values)
    return values.new_zeros(sets, values.shape[1]).scatter_add_(0, rows, values)


def softmax_over_sets(
    values: Float[Tensor, "elements features"], index: Int[Tensor, " elements"], sets: int
) -> Float[Tensor, "elements features"]:
    """The softmax among the elements of each set, as PyTorch Geometric computes it."""
    rows = index[:, None].expand_as(values)
    largest = values.new_zeros(sets, values.shape[1])
    largest.scatter_reduce_(0, rows, values.detach(), reduce="amax", include_self=False)
    exponentials = (values - largest.index_select(0, index)).exp()
    return exponentials / (sum_over_sets(exponentials, index, sets) + 1e-16).index_select(0, index)


class Set2Set(nn.Module):
    """Read a set by attention, `steps` times, each query coming from an LSTM.

    q = LSTM(q*), a = softmax over the set of x . q, r = sum a x, q* = [q, r].

    Source: Vinyals, Bengio, Kudlur (ICLR 2016), https://arxiv.org/abs/1511.06391.
    Differs from PyTorch Geometric's, whose parameters it loads, in that its gradient is summed in
    a fixed order: there, indexing with a tensor adds up by atomics, and two runs with more than
    one thread drift apart.
    """

    def __init__(self, features: int, steps: int = 3) -> None:
        """Make the LSTM for elements of that many features."""
        super().__init__()
        self._steps = steps
        self.lstm = nn.LSTM(2 * features, features)

    def forward(
        self, x: Float[Tensor, "elements features"], index: Int[Tensor, " elements"], sets: int
    ) -> Float[Tensor, "sets doubled"]:
        """Read each of the sets; `index` says, in ascending order, which set an element is of."""
        query = x.new_zeros(1, sets, 2 * x.shape[1])
        state = (x.new_zeros(1, sets, x.shape[1]), x.new_zeros(1, sets, x.shape[1]))
        for _ in range(self._steps):
            q, state = self.lstm(query, state)
            match = (x * q[0].index_select(0, index)).sum(dim=1, keepdim=True)
            attention = softmax_over_sets(match, index, sets)
            read = sum_over_sets(attention * x, index, sets)
            query = torch.cat([q, read[None]], dim=2)
        return query[0]


@runtime_checkable
class MoleculeGraphs(Protocol):
    """What the network reads of a batch of molecules."""

    @property
    def x(self) -> Float[Tensor, "nodes features"]:
        """Features of the atoms."""

    @property
    def edge_index(self) -> Int[Tensor, "2 edges"]:
        """Source and target atom of each edge."""

    @property
    def edge_attr(self) -> Float[Tensor, "edges attributes"]:
        """Features of the edges."""

    @property
    def graph(self) -> Int[Tensor, " nodes"]:
        """Index of each atom's molecule, in ascending order."""

    @property
    def graphs(self) -> int:
        """Number of molecules."""


class MoleculeEncoder(nn.Module):
    """A vector of `dim` features for each molecule.

    out = h = ReLU(linear(x)); then `steps` times m = ReLU(conv(out)), (out, h) = GRU(m, h), with
    one convolution and one GRU for all steps; then Set2Set in three steps and ReLU(linear).

    Source: Gilmer et al. (ICML 2017), https://arxiv.org/abs/1704.01212, with the layers that
    Navon et al. (ICML 2022), https://arxiv.org/abs/2202.01017, benchmark multi-task learning on.
    Differs from it in that the convolution is computed without a matrix per edge.
    """

    def __init__(
        self,
        dim: int = 64,
        edge_hidden: int = 128,
        steps: int = 3,
        node_features: int = 11,
        edge_features: int = 5,
    ) -> None:
        """Make the layers; `steps` is the number of rounds of messages."""
        super().__init__()
        if steps < 1:
            raise ValueError(f"`steps` must be a positive number of message rounds, not {steps}")
        self.steps = steps
        self.first = nn.Linear(node_features, dim)
        self.conv = EdgeConditionedConv(dim, dim, edge_features, edge_hidden, aggr="mean")
        self.gru = nn.GRU(dim, dim)
        self.readout = Set2Set(dim, steps=3)
        self.last = nn.Linear(2 * dim, dim)

    def forward(self, batch: MoleculeGraphs) -> Float[Tensor, "graphs dim"]:
        """Read the atoms and edges of a batch; molecules may differ in size."""
        out = torch.relu(self.first(batch.x))
        state = out[None]  # (1, nodes, dim): atoms are the GRU's batch
        edges = self.conv.prepare(len(out), batch.edge_index, batch.edge_attr)
        for _ in range(self.steps):
            message = torch.relu(self.conv.propagate(out, edges))
            state = self.gru(message[None], state)[1]
            out = state[0]  # after one step of the GRU, output and state are the same
        return torch.relu(self.last(self.readout(out, batch.graph, batch.graphs)))


class MPNN(nn.Module):
    """Predict every task of a molecule from one shared encoder, a linear layer a task.

    Attributes:
        trunk: the encoder that all tasks share: 616,960 parameters at the published size.
        heads: one linear layer a task, in the order of the tasks.
    """

    def __init__(
        self,
        tasks: int,
        dim: int = 64,
        edge_hidden: int = 128,
        steps: int = 3,
        node_features: int = 11,
        edge_features: int = 5,
    ) -> None:
        """Make the trunk and `tasks` heads; the default sizes are the published ones."""
        super().__init__()
        if tasks < 1:
            raise ValueError(f"`tasks` must be a positive number of heads, not {tasks}")
        self.trunk = MoleculeEncoder(dim, edge_hidden, steps, node_features, edge_features)
        self.heads = nn.ModuleList(nn.Linear(dim, 1) for _ in range(tasks))

    def forward(self, batch: MoleculeGraphs) -> Float[Tensor, "graphs tasks"]:
        """Predict in the tasks' training units, usually z-scores."""
        features = self.trunk(batch)
        return torch.cat([head(features) for head in self.heads], dim=1)
