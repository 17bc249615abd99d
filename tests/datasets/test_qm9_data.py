import warnings
from itertools import permutations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym.datasets import qm9


@pytest.fixture(scope="module")
def molecules():
    return qm9.load("embedded")[0]


def test_embedded_molecules_are_ten_thousand_of_qm9(molecules):
    assert len(molecules) == 10_000 == len(np.unique(molecules.index))
    assert molecules.index.min() >= 1
    assert molecules.index.max() <= 133_885
    assert molecules.targets.shape == (10_000, len(qm9.TASKS)) == (10_000, 11)
    assert molecules.sizes.min() >= 3
    assert molecules.sizes.max() <= 29


def test_water_has_its_published_properties(molecules):
    water = molecules.targets[np.flatnonzero(molecules.index == 3)[0]]
    found = dict(zip(qm9.TASKS, water, strict=True))
    hartree = 27.211386246
    assert found["mu"] == 1.8511
    assert found["alpha"] == 6.31
    assert found["r2"] == 19.0002
    assert found["cv"] == 6.002
    assert found["homo"] == pytest.approx(-0.2928 * hartree, rel=1e-12)
    assert found["lumo"] == pytest.approx(0.0687 * hartree, rel=1e-12)
    assert found["zpve"] == pytest.approx(0.021375 * hartree, rel=1e-12)
    free = 2 * -13.61312172 - 2042.61123593
    assert found["u0"] == pytest.approx(-76.404702 * hartree - free, abs=1e-9)


def test_atomisation_energies_lie_where_those_of_qm9_lie(molecules):
    u0, u, h, g = molecules.targets[:, 6:10].T
    assert -114 < u0.min() < u0.max() < -9
    assert u0.mean() == pytest.approx(-76.1, abs=0.5)
    assert (h < u).all()
    assert (u < u0).all()
    assert (u0 < g).all()


def test_batch_equals_a_loop_over_its_molecules(molecules):
    chosen = [17, 3, 9_999, 3, 0]
    batch = molecules.batch(chosen)
    x: list[np.ndarray] = []
    first_atoms, second_atoms, distances, graph = [], [], [], []
    for which, molecule in enumerate(chosen):
        first = int(molecules.sizes[:molecule].sum())
        places = molecules.positions[first : first + molecules.sizes[molecule]]
        shift = len(x)
        for i, j in permutations(range(len(places)), 2):
            first_atoms.append(shift + i)
            second_atoms.append(shift + j)
            distances.append(float(np.linalg.norm(places[i].astype(float) - places[j])))
        x += list(molecules.atoms[first : first + len(places)].astype(float))
        graph += [which] * len(places)
    assert batch.graphs == 5
    assert batch.graph.tolist() == graph
    assert batch.edge_index.tolist() == [first_atoms, second_atoms]
    assert_close(batch.x.double(), torch.tensor(np.array(x)))
    assert_close(batch.edge_attr[:, 4].double(), torch.tensor(distances, dtype=torch.double))
    assert_close(batch.y.double(), torch.tensor(molecules.targets[chosen]), rtol=1e-6, atol=1e-6)


def test_batch_is_joined_as_pytorch_geometric_joins_graphs(molecules):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import uses torch.jit, which is deprecated
        from torch_geometric.data import Batch, Data

    single = [molecules.batch([i]) for i in (5, 8, 2)]
    parts = [Data(x=s.x, edge_index=s.edge_index, edge_attr=s.edge_attr, y=s.y) for s in single]
    joined = Batch.from_data_list(parts)
    batch = molecules.batch(np.array([5, 8, 2]))
    assert torch.equal(batch.edge_index, joined.edge_index)
    assert torch.equal(batch.graph, joined.batch)
    assert torch.equal(batch.x, joined.x)
    assert torch.equal(batch.edge_attr, joined.edge_attr)
    assert torch.equal(batch.y, joined.y)


def test_features_agree_with_each_other(molecules):
    batch = molecules.batch(torch.arange(0, 10_000, 100))
    element, number, hydrogens = batch.x[:, :5], batch.x[:, 5], batch.x[:, 10]
    assert (element.sum(1) == 1).all()
    assert torch.equal(element @ torch.tensor([1.0, 6, 7, 8, 9]), number)
    bonded = batch.edge_attr[:, :4].any(1)
    source, target = batch.edge_index[:, bonded]
    counted = torch.zeros_like(number).index_add(0, source, (number[target] == 1).float())
    assert torch.equal(counted, hydrogens)
    length = batch.edge_attr[bonded, 4]
    assert ((length > 0.9) & (length < 1.8)).all()  # Angstrom
    order = batch.edge_attr[bonded, :4] @ torch.tensor([1.0, 2.0, 3.0, 1.5])
    valence = torch.zeros_like(number).index_add(0, source, order)
    assert (valence[number == 1] == 1).all()
    assert (valence[(number == 6) & (batch.x[:, 6] == 0)] == 4).all()
    assert (batch.x[number == 6, 7:10].sum(1) == 1).all()


def test_batch_moves_to_a_device(molecules):
    moved = molecules.batch([1, 2]).to("meta")
    for tensor in (moved.x, moved.edge_index, moved.edge_attr, moved.graph, moved.y):
        assert tensor.device.type == "meta"
    assert moved.graphs == 2


@pytest.mark.parametrize("indices", [[-1], [0, 10_000]])
def test_an_index_out_of_range_is_refused(molecules, indices):
    with pytest.raises(IndexError, match=r"`indices` must lie in \[0, 10000\)"):
        molecules.batch(indices)


@pytest.mark.parametrize(("size", "held"), [(130_831, 10_000), (10_000, 1_000), (10, 1)])
def test_split_covers_everything_once_and_stays_the_same(size, held):
    parts = qm9.split(size)
    assert [len(parts[key]) for key in ("train", "val", "test")] == [size - 2 * held, held, held]
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(size))
    again, other = qm9.split(size), qm9.split(size, seed=1)
    assert all(np.array_equal(parts[key], again[key]) for key in parts)
    assert any(not np.array_equal(parts[key], other[key]) for key in parts)


def test_split_of_the_embedded_set_never_changes():
    parts = qm9.split(10_000)
    assert parts["val"][:4].tolist() == [3577, 8925, 1634, 485]
    assert parts["test"][:4].tolist() == [1977, 7083, 5371, 3347]


def test_too_few_molecules_to_split_are_refused():
    with pytest.raises(ValueError, match="`molecules` must be at least 10 to be split, not 9"):
        qm9.split(9)
