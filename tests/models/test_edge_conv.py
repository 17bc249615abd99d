"""The edge-conditioned convolution is PyTorch Geometric's NNConv without a matrix per edge."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad, gradcheck
from torch.func import functional_call, vmap
from torch.testing import assert_close

from mtlgym.models.mpnn import AGGREGATIONS, EdgeConditionedConv

IN, OUT, ATTRIBUTES, HIDDEN = 5, 3, 4, 6


def fully_connected(sizes: list[int]) -> Tensor:
    blocks, start = [], 0
    for size in sizes:
        blocks.append((1 - torch.eye(size)).nonzero().T + start)
        start += size
    return torch.cat(blocks, dim=1)


def random_graph(nodes: int, edges: int) -> Tensor:
    return torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(3))


STAR = torch.tensor([[0] * 7 + [3], [1, 2, 3, 4, 5, 6, 7, 0]])
GRAPHS = {
    "random, unsorted, with loops": (9, random_graph(9, 30)),
    "fully connected, unequal sizes": (10, fully_connected([4, 1, 2, 3])),
    "isolated nodes, first and last": (12, random_graph(8, 20) + 2),
    "multi-edges": (4, random_graph(4, 40)),
    "star": (8, STAR),
    "reversed star": (8, STAR.flip(0)),
    "no edges": (3, torch.zeros(2, 0, dtype=torch.int64)),
    "no nodes": (0, torch.zeros(2, 0, dtype=torch.int64)),
}


def ours(aggr: str = "mean", features: tuple[int, int] = (IN, OUT)) -> EdgeConditionedConv:
    """A convolution with parameters drawn from a generator of its own, biases included."""
    conv = EdgeConditionedConv(*features, ATTRIBUTES, HIDDEN, aggr).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.normal_(generator=generator)
    return conv


def theirs(conv: EdgeConditionedConv) -> nn.Module:
    from torch_geometric.nn import NNConv

    edge_network = nn.Sequential(
        nn.Linear(ATTRIBUTES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, IN * OUT)
    )
    oracle = NNConv(IN, OUT, edge_network, aggr=conv.aggr).double()
    oracle.load_state_dict(conv.state_dict())
    return oracle


def features(nodes: int, edges: int, width: int = IN) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = (nodes, width), (edges, ATTRIBUTES)
    x, attributes = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    return x.requires_grad_(), attributes.requires_grad_()


@pytest.mark.parametrize("aggr", AGGREGATIONS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_outputs_and_gradients_equal_those_of_nnconv(graph, aggr):
    nodes, edge_index = GRAPHS[graph]
    conv = ours(aggr)
    oracle = theirs(conv)
    x, attributes = features(nodes, edge_index.shape[1])
    slope = torch.randn(nodes, OUT, generator=torch.Generator().manual_seed(4)).double()
    results = []
    for module in (conv, oracle):
        wanted = [x, attributes, *dict(sorted(module.named_parameters())).values()]
        out = module(x, edge_index, attributes)
        slopes = grad((out * slope).sum(), wanted, allow_unused=True, materialize_grads=True)
        results.append((out, *slopes))
    assert len(results[0]) == 1 + 2 + 6
    for mine, other in zip(*results, strict=True):
        assert_close(mine, other, rtol=1e-10, atol=1e-10)


def test_a_state_of_nnconv_loads_and_a_state_loads_into_nnconv():
    state = theirs(ours()).state_dict()
    loaded = EdgeConditionedConv(IN, OUT, ATTRIBUTES, HIDDEN).double()
    loaded.load_state_dict(state)
    assert set(loaded.state_dict()) == set(state)
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def test_a_message_is_the_edge_matrix_applied_to_the_source():
    conv = ours("add")
    x, attributes = features(2, 1)
    matrix = conv.nn(attributes).view(IN, OUT)
    out = conv(x, torch.tensor([[0], [1]]), attributes)
    assert_close(out - conv.lin(x) - conv.bias, torch.stack([0 * matrix[0], x[0] @ matrix]))


def test_prepared_edges_serve_several_propagations():
    conv = ours(features=(IN, IN))
    edge_index = random_graph(9, 30)
    x, attributes = features(9, 30)
    edges = conv.prepare(9, edge_index, attributes)
    shared = conv.propagate(conv.propagate(x, edges), edges)
    apart = conv(conv(x, edge_index, attributes), edge_index, attributes)
    wanted = [x, attributes, *conv.parameters()]
    assert torch.equal(shared, apart)
    for one, other in zip(grad(shared.sum(), wanted), grad(apart.sum(), wanted), strict=True):
        assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_equal_finite_differences():
    conv = ours()
    x, attributes = features(4, 10)
    assert gradcheck(
        lambda *inputs: conv(inputs[0], random_graph(4, 10), inputs[1]), (x, attributes)
    )


def test_the_order_of_the_edges_does_not_matter():
    conv = ours()
    edge_index = random_graph(9, 30)
    x, attributes = features(9, 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(5))
    shuffled = conv(x, edge_index[:, order], attributes[order])
    assert_close(shuffled, conv(x, edge_index, attributes), rtol=1e-12, atol=1e-12)


def test_repeated_runs_are_bit_identical():
    conv = ours().float()
    edge_index = fully_connected([9, 17, 23])
    x, attributes = (part.detach().float() for part in features(49, edge_index.shape[1]))
    runs = []
    for _ in range(5):
        out = conv(x, edge_index, attributes)
        runs.append([out, *grad(out.square().sum(), list(conv.parameters()))])
    for run in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(run, runs[0], strict=True))


def test_many_parameter_sets_run_in_one_call():
    conv = ours()
    x, attributes = (part.detach() for part in features(9, 30))
    states = [{k: v * scale for k, v in conv.state_dict().items()} for scale in (1.0, 0.5)]
    stacked = {k: torch.stack([state[k] for state in states]) for k in states[0]}
    inputs = (x, random_graph(9, 30), attributes)
    together = vmap(lambda state: functional_call(conv, state, inputs))(stacked)
    for row, state in zip(together, states, strict=True):
        assert_close(row, functional_call(conv, state, inputs), rtol=1e-10, atol=1e-10)


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="`aggr` must be one of add, mean, not 'max'"):
        EdgeConditionedConv(IN, OUT, ATTRIBUTES, HIDDEN, aggr="max")


@pytest.mark.parametrize("edge", [[[0], [3]], [[3], [0]]])
def test_an_edge_to_a_node_that_is_not_there_is_refused(edge):
    with pytest.raises(ValueError, match="`edge_index` must hold nodes below 3, not 3"):
        ours()(features(3, 1)[0], torch.tensor(edge), features(3, 1)[1])
