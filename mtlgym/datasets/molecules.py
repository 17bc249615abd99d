"""Molecules in flat arrays, and batches of them as fully connected graphs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

MAX_ATOMS = 29
# Every ordered pair of atoms i != j of a molecule of n atoms, sorted, stands at PAIR_STARTS[n].
PAIRS = np.hstack([np.nonzero(~np.eye(n, dtype=bool)) for n in range(MAX_ATOMS + 1)])
PAIR_STARTS = np.cumsum([0] + [n * (n - 1) for n in range(MAX_ATOMS)])
ONE_HOT = np.eye(5, k=-1, dtype=np.float32)  # (bond type, 5); the last column: the distance


@dataclass(frozen=True, eq=False)
class MoleculeBatch:
    """Some molecules as one graph whose parts are not joined.

    Attributes:
        x: one-hot H, C, N, O, F; atomic number; aromatic; sp, sp2, sp3; number of bonded H.
        edge_index: every ordered pair of two atoms of a molecule: row 0 the source, row 1 the
            target, sorted by source, then target.
        edge_attr: one-hot single, double, triple, aromatic bond (all 0 without one), then the
            distance in Angstrom.
        graph: which molecule of the batch an atom belongs to, ascending.
        graphs: number of molecules.
        y: targets in the order of `TASKS`, in `UNITS`, not normalised.
    """

    x: Float[Tensor, "nodes 11"]
    edge_index: Int[Tensor, "2 edges"]
    edge_attr: Float[Tensor, "edges 5"]
    graph: Int[Tensor, " nodes"]
    graphs: int
    y: Float[Tensor, "molecules targets"]

    def to(self, device: torch.device | str) -> "MoleculeBatch":
        """The same batch on a device."""
        return MoleculeBatch(
            x=self.x.to(device),
            edge_index=self.edge_index.to(device),
            edge_attr=self.edge_attr.to(device),
            graph=self.graph.to(device),
            graphs=self.graphs,
            y=self.y.to(device),
        )


@dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules in flat arrays, one after another.

    Attributes:
        index: (molecules,) number in the original files.
        sizes: (molecules,) atoms.
        atoms: (atoms, 11) features as in `MoleculeBatch.x`, one byte each.
        positions: (atoms, 3) Angstrom.
        atom_starts: (molecules,) first row in `atoms`.
        pairs: (pairs,) bond type of each ordered pair i != j, sorted; 0 none, 1 single, 2 double,
            3 triple, 4 aromatic.
        pair_starts: (molecules,) first entry in `pairs`.
        targets: (molecules, 11) in the order of `TASKS`, in `UNITS`.
    """

    index: np.ndarray
    sizes: np.ndarray
    atoms: np.ndarray
    positions: np.ndarray
    atom_starts: np.ndarray
    pairs: np.ndarray
    pair_starts: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        """How many molecules there are."""
        return len(self.sizes)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> MoleculeBatch:
        """The molecules with these indices, in this order, as one graph.

        Raises:
            IndexError: for an index outside of [0, molecules).
        """
        index = np.asarray(indices, dtype=np.int64)
        if index.size and not (index.min() >= 0 and index.max() < len(self)):
            raise IndexError(f"`indices` must lie in [0, {len(self)}), not {index.tolist()}")
        sizes = self.sizes[index]
        counts = sizes * (sizes - 1)
        nodes = ranges(self.atom_starts[index], sizes)
        local = PAIRS.take(ranges(PAIR_STARTS[sizes], counts), axis=1)
        edges = local + np.repeat(starts(sizes), counts)
        where = self.positions[nodes]
        apart = where.take(edges[0], axis=0) - where.take(edges[1], axis=0)  # (edges, 3)
        bonds = self.pairs[ranges(self.pair_starts[index], counts)]
        features = ONE_HOT.take(bonds, axis=0)
        features[:, 4] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        return MoleculeBatch(
            x=torch.from_numpy(self.atoms[nodes].astype(np.float32)),
            edge_index=torch.from_numpy(edges),
            edge_attr=torch.from_numpy(features),
            graph=torch.from_numpy(np.repeat(np.arange(len(index)), sizes)),
            graphs=len(index),
            y=torch.from_numpy(self.targets[index].astype(np.float32)),
        )


def starts(counts: np.ndarray) -> np.ndarray:
    """Where each of several runs begins when they stand one after another."""
    return np.cumsum(counts) - counts


def ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The integers first, first + 1, ... (counts of them) of each run, one run after another."""
    return np.repeat(first - starts(counts), counts) + np.arange(counts.sum())
