"""The molecule network is the published one, layer by layer."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.testing import assert_close

from mtlgym.datasets.qm9 import MoleculeBatch
from mtlgym.models.mpnn import MPNN

SIZES = [5, 1, 3, 4]  # atoms of the molecules


def molecules(sizes: list[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> MoleculeBatch:
    generator = torch.Generator().manual_seed(seed)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    pairs = [(1 - torch.eye(n)).nonzero().T + start for n, start in zip(sizes, starts, strict=True)]
    edge_index = torch.cat(pairs, dim=1)
    return MoleculeBatch(
        x=torch.randn(sum(sizes), 11, generator=generator, dtype=dtype),
        edge_index=edge_index,
        edge_attr=torch.rand(edge_index.shape[1], 5, generator=generator, dtype=dtype),
        graph=torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)),
        graphs=len(sizes),
        y=torch.zeros(len(sizes), 11, dtype=dtype),
    )


def drawn(network: MPNN) -> MPNN:
    """The network with parameters from a generator of its own, biases included."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.3, 0.3, generator=generator)
    return network


class Published(nn.Module):
    """The network of the benchmark, written with PyTorch Geometric's layers."""

    def __init__(self, tasks: int, dim: int, hidden: int) -> None:
        super().__init__()
        from torch_geometric.nn import NNConv, Set2Set

        edge_network = nn.Sequential(nn.Linear(5, hidden), nn.ReLU(), nn.Linear(hidden, dim * dim))
        self.first = nn.Linear(11, dim)
        self.conv = NNConv(dim, dim, edge_network, aggr="mean")
        self.gru = nn.GRU(dim, dim)
        self.readout = Set2Set(dim, processing_steps=3)
        self.last = nn.Linear(2 * dim, dim)
        self.heads = nn.ModuleList(nn.Linear(dim, 1) for _ in range(tasks))

    def forward(self, batch: MoleculeBatch) -> Tensor:
        out = self.first(batch.x).relu()
        h = out.unsqueeze(0)
        for _ in range(3):
            m = self.conv(out, batch.edge_index, batch.edge_attr).relu()
            out, h = self.gru(m.unsqueeze(0), h)
            out = out.squeeze(0)
        out = self.last(self.readout(out, batch.graph)).relu()
        return torch.cat([head(out) for head in self.heads], dim=-1)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def reached(module: nn.Module) -> list[bool]:
    """Whether each parameter has a gradient that is not zero."""
    return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]


def test_the_published_size_has_the_published_number_of_parameters():
    network = MPNN(11)
    assert count(network.trunk) == 616_960
    assert count(network.heads) == 11 * 65
    assert count(network) == count(network.trunk) + count(network.heads)


def test_outputs_and_gradients_equal_those_of_the_published_network():
    network = drawn(MPNN(3, dim=6, edge_hidden=7)).double()
    oracle = Published(3, dim=6, hidden=7).double()
    oracle.load_state_dict({k.removeprefix("trunk."): v for k, v in network.state_dict().items()})
    batch = molecules(SIZES)
    assert_close(network(batch), oracle(batch), rtol=1e-10, atol=1e-10)
    slopes = []
    for module in (network, oracle):
        named = {k.removeprefix("trunk."): v for k, v in module.named_parameters()}
        values = grad(module(batch).square().sum(), [named[name] for name in sorted(named)])
        slopes.append(dict(zip(sorted(named), values, strict=True)))
    assert_close(slopes[0], slopes[1], rtol=1e-9, atol=1e-10)


def test_every_parameter_is_trained():
    network = drawn(MPNN(3, dim=6, edge_hidden=7)).double()
    network(molecules(SIZES)).square().sum().backward()
    assert all(reached(network))


def test_a_task_reaches_its_own_head_and_the_trunk_only():
    network = drawn(MPNN(3, dim=6, edge_hidden=7)).double()
    network(molecules(SIZES))[:, 1].sum().backward()
    assert [reached(head) for head in network.heads] == [[False] * 2, [True] * 2, [False] * 2]
    assert all(reached(network.trunk))


def test_a_molecule_does_not_see_the_rest_of_the_batch():
    network = drawn(MPNN(2, dim=6, edge_hidden=7)).double()
    batch = molecules(SIZES)
    first = (batch.edge_index < SIZES[0]).all(0)
    alone = MoleculeBatch(
        x=batch.x[: SIZES[0]],
        edge_index=batch.edge_index[:, first],
        edge_attr=batch.edge_attr[first],
        graph=batch.graph[: SIZES[0]],
        graphs=1,
        y=batch.y[:1],
    )
    assert_close(network(alone)[0], network(batch)[0], rtol=1e-10, atol=1e-10)


def test_the_last_molecule_may_be_left_without_atoms():
    network = drawn(MPNN(2, dim=6, edge_hidden=7)).double()
    full = molecules(SIZES)
    longer = MoleculeBatch(
        full.x, full.edge_index, full.edge_attr, full.graph, 5, torch.zeros(5, 11).double()
    )
    assert_close(network(longer)[:4], network(full), rtol=1e-10, atol=1e-10)


def test_repeated_steps_are_bit_identical():
    batch = molecules([9, 17, 23], torch.float32)
    network = drawn(MPNN(11, dim=16, edge_hidden=16))
    runs = []
    for _ in range(5):
        out = network(batch)
        runs.append([out, *grad(out.square().sum(), list(network.parameters()))])
    for run in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("argument", ["tasks", "steps"])
def test_a_size_below_one_is_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive number .* not 0"):
        MPNN(**{"tasks": 2, argument: 0})
