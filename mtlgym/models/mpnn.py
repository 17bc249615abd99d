"""Message-passing network for molecules, as published with the QM9 benchmark."""

import warnings
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it uses torch.jit when it is imported
    from torch_geometric.utils import scatter, softmax

AGGREGATIONS = ("add", "mean")


@dataclass(frozen=True, eq=False)
class Edges:
    """A graph's edges, sorted by the out-degree of their source, in the form that propagation uses.

    Nodes of the same out-degree form a group, so that one batched product serves a whole group
    without padding. A graph of E edges has fewer than sqrt(2 E) + 1 groups.

    Attributes:
        kernel: the edge network's last layer as one matrix from a node to all its products A_k x.
        hidden: for each group h of its edges, with a constant 1 at the end for the bias B.
        sources: the nodes that edges leave, group by group.
        targets: the node that each edge enters, in the order of `hidden`.
        scale: 1 / in-degree of each node for the mean, ones for the sum.
    """

    kernel: Float[Tensor, "in products"]
    hidden: tuple[Float[Tensor, "_ _ channels"], ...]
    sources: Int[Tensor, " senders"]
    targets: Int[Tensor, " edges"]
    scale: Float[Tensor, "nodes 1"]


class EdgeConditionedConv(nn.Module):
    """Multiply each neighbour's features by a matrix that is a function of the edge between them.

    out_i = R x_i + b + aggregate_j(W(e_ij)^T x_j), W(e) = sum_k h_k(e) A_k + B of shape (in, out),
    h(e) = ReLU(linear(e)). The products A_k^T x_j are computed per node, not per edge:
    sum_j W(e_ij)^T x_j = sum_j (sum_k h_k(e_ij) A_k^T x_j + B^T x_j).

    Parameters have the names, shapes and initial distributions of PyTorch Geometric's
    `NNConv(in, out, Sequential(Linear, ReLU, Linear), aggr)`, whose `state_dict` loads as it is.

    Source: Gilmer et al. (ICML 2017), https://arxiv.org/abs/1704.01212.
    Differs from `NNConv` in that sums are made in another order, and in that `prepare` computes
    once what several propagations along the same edges share. Summing h_k x_j over a node's
    neighbours first and multiplying by A_k after gives the same result at the same count of
    operations; it took 3 to 15 % longer forward and backward, as it gathers each edge's features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        edge_features: int,
        hidden: int,
        aggr: str = "mean",
    ) -> None:
        """Build the layers; `aggr` is "add" or "mean" over the edges that enter a node."""
        super().__init__()
        if aggr not in AGGREGATIONS:
            raise ValueError(f"`aggr` must be one of {', '.join(AGGREGATIONS)}, not {aggr!r}")
        self.aggr = aggr
        self.out_features = out_features
        self.nn = nn.Sequential(
            nn.Linear(edge_features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, in_features * out_features),
        )
        self.lin = nn.Linear(in_features, out_features, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(
        self,
        x: Float[Tensor, "nodes in"],
        edge_index: Int[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges attributes"],
    ) -> Float[Tensor, "nodes out"]:
        """Propagate once; edge_index[0] is the source j and edge_index[1] the target i."""
        return self.propagate(x, self.prepare(len(x), edge_index, edge_attr))

    def prepare(
        self,
        nodes: int,
        edge_index: Int[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges attributes"],
    ) -> Edges:
        """Compute what every propagation along these edges shares, with its graph.

        Raises:
            ValueError: if `edge_index` names a node that is not below `nodes`.
        """
        source, target = edge_index
        out_degree, in_degree = (torch.bincount(end, minlength=nodes) for end in edge_index)
        if max(len(out_degree), len(in_degree)) > nodes:
            raise ValueError(
                f"`edge_index` must hold nodes below {nodes}, not {int(edge_index.max())}"
            )
        by_degree = torch.argsort(out_degree, stable=True)
        order = torch.argsort(torch.argsort(by_degree)[source], stable=True)
        groups = list(enumerate(torch.bincount(out_degree).tolist()))[1:]  # (degree, its nodes)
        hidden = self._hidden(edge_attr.index_select(0, order))
        parts = hidden.split([degree * count for degree, count in groups])
        in_degree = in_degree.clamp(min=1) if self.aggr == "mean" else torch.ones_like(in_degree)
        return Edges(
            kernel=self._kernel(),
            hidden=tuple(
                part.view(count, degree, hidden.shape[1])
                for part, (degree, count) in zip(parts, groups, strict=True)
                if count
            ),
            sources=by_degree[int((out_degree == 0).sum()) :],
            targets=target[order],
            scale=in_degree.to(hidden.dtype).reciprocal()[:, None],
        )

    def propagate(self, x: Float[Tensor, "nodes in"], edges: Edges) -> Float[Tensor, "nodes out"]:
        """Send the features of every node along the prepared edges."""
        senders = x.index_select(0, edges.sources).split([len(hidden) for hidden in edges.hidden])
        messages = [
            (hidden @ (features @ edges.kernel).view(len(hidden), hidden.shape[2], -1)).flatten(
                0, 1
            )
            for hidden, features in zip(edges.hidden, senders, strict=True)
        ]
        total = x.new_zeros(len(x), self.out_features)
        if messages:
            index = edges.targets[:, None].expand(-1, self.out_features)
            total = total.scatter_add(0, index, torch.cat(messages))
        return self.lin(x) + total * edges.scale + self.bias

    def _hidden(self, edge_attr: Tensor) -> Tensor:
        """Hidden layer of the edge network and a last channel of ones: (edges, hidden + 1)."""
        weight, bias, *_ = self.nn.parameters()
        rows = nn.functional.pad(weight, (0, 0, 0, 1))
        offsets = nn.functional.pad(bias, (0, 1), value=1.0)  # ReLU(0 e + 1) = 1
        return torch.relu(nn.functional.linear(edge_attr, rows, offsets))

    def _kernel(self) -> Tensor:
        """All A_k and B side by side: (in, (hidden + 1) * out)."""
        *_, weight, bias = self.nn.parameters()
        matrices = torch.cat([weight.T, bias[None]])  # (hidden + 1, in * out)
        matrices = matrices.view(len(matrices), -1, self.out_features)
        return matrices.transpose(0, 1).flatten(1)


class Set2Set(nn.Module):
    """Read a set by attention, `steps` times, each query coming from an LSTM.

    q = LSTM(q*), a = softmax over the set of x . q, r = sum a x, q* = [q, r].

    Source: Vinyals, Bengio, Kudlur (ICLR 2016), https://arxiv.org/abs/1511.06391.
    Differs from PyTorch Geometric's, whose parameters it loads, in that its gradient is summed in
    a fixed order: there, indexing with a tensor adds up by atomics, and two runs with more than
    one thread drift apart.
    """

    def __init__(self, features: int, steps: int = 3) -> None:
        """Build the LSTM for elements of that many features."""
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
            attention = softmax(match, index, num_nodes=sets)
            read = scatter(attention * x, index, dim=0, dim_size=sets)
            query = torch.cat([q, read[None]], dim=2)
        return query[0]


@runtime_checkable
class MoleculeGraphs(Protocol):
    """The inputs of the network: a batch of molecules."""

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
        """Build the layers; `steps` is the number of rounds of messages."""
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
    """Predict every task of a molecule from one shared encoder and one linear layer a task.

    Attributes:
        trunk: the encoder that all tasks share: 616,960 parameters at the published size.
        heads: one linear layer for each task, in the order of the tasks.
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
        """Build the trunk and `tasks` heads; the default sizes are the published ones."""
        super().__init__()
        if tasks < 1:
            raise ValueError(f"`tasks` must be a positive number of heads, not {tasks}")
        self.trunk = MoleculeEncoder(dim, edge_hidden, steps, node_features, edge_features)
        self.heads = nn.ModuleList(nn.Linear(dim, 1) for _ in range(tasks))

    def forward(self, batch: MoleculeGraphs) -> Float[Tensor, "graphs tasks"]:
        """Predict in the tasks' training units, usually z-scores."""
        features = self.trunk(batch)
        return torch.cat([head(features) for head in self.heads], dim=1)
