"""QM9: small organic molecules with eleven quantum-chemical properties.

Source: Ramakrishnan et al., Scientific Data 1 (2014), https://doi.org/10.1038/sdata.2014.22; the
features are those of Gilmer et al. (ICML 2017), https://arxiv.org/abs/1704.01212.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtlgym.datasets import sources
from mtlgym.datasets.formats.arrays import kept_digest, read_arrays, write_arrays
from mtlgym.io.atomic import write_atomically

__all__ = ["FULL", "TASKS", "UNITS", "MoleculeBatch", "Molecules", "load", "split", "unpack"]

UNITS = {  # of the targets, by task
    "mu": "D",
    "alpha": "bohr^3",
    "homo": "eV",
    "lumo": "eV",
    "r2": "bohr^2",
    "zpve": "eV",
    "u0": "eV",
    "u": "eV",
    "h": "eV",
    "g": "eV",
    "cv": "cal/mol/K",
}
TASKS = tuple(UNITS)
HARTREE = 27.211386246  # eV
ELEMENTS = np.array([1, 6, 7, 8, 9])  # H, C, N, O, F
# Energies of the free atoms in eV, by element; u0, u, h and g less their sum are atomisation
# energies. Source: the data set's atomref file, as in torch_geometric.datasets.qm9.atomrefs.
FREE_ATOMS = {
    "u0": [-13.61312172, -1029.86312267, -1485.30251237, -2042.61123593, -2713.48485589],
    "u": [-13.5745904, -1029.82456413, -1485.26398105, -2042.5727046, -2713.44632457],
    "h": [-13.54887564, -1029.79887659, -1485.2382935, -2042.54701705, -2713.42063702],
    "g": [-13.90303183, -1030.25891228, -1485.71166277, -2043.01812778, -2713.88796536],
}
FULL = 130_831  # molecules
MAX_ATOMS = 29
# The ordered pairs of atoms i != j of a molecule of n atoms, sorted, begin at PAIR_STARTS[n].
PAIRS = np.hstack([np.nonzero(~np.eye(n, dtype=bool)) for n in range(MAX_ATOMS + 1)])
PAIR_STARTS = np.cumsum([0] + [n * (n - 1) for n in range(MAX_ATOMS)])
ONE_HOT = np.eye(5, k=-1, dtype=np.float32)  # (bond type, 5); the last column: the distance


@dataclass(frozen=True, eq=False)
class MoleculeBatch:
    """Some molecules as one graph with a component for each molecule.

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
        """The number of molecules."""
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
    """The start of each of several runs that follow one another."""
    return np.cumsum(counts) - counts


def ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The integers first, first + 1, ... (counts of them) of each run, one run after another."""
    return np.repeat(first - starts(counts), counts) + np.arange(counts.sum())


def unpack(arrays: Mapping[str, np.ndarray]) -> Molecules:
    """The molecules in the compact arrays that `qm9_raw.parse` returns.

    Differs from PyTorch Geometric's QM9 in that aromatic bonds and atoms, and hybridization, are
    filled in: its reader leaves them 0, as it does not sanitise the molecules.
    """
    sizes = arrays["sizes"].astype(np.int64)
    atom_starts, pair_starts = starts(sizes), starts(sizes * (sizes - 1))
    counts = arrays["bond_counts"].astype(np.int64)
    ends = np.vstack([arrays["bonds"], arrays["bonds"][:, ::-1]]).astype(np.int64).T
    molecule = np.tile(np.repeat(np.arange(len(sizes)), counts), 2)  # of each directed bond
    types = np.tile(arrays["bond_types"], 2)
    pairs = np.zeros((sizes * (sizes - 1)).sum(), np.uint8)
    column = ends[1] - (ends[1] > ends[0])  # among the atoms other than the source
    pairs[pair_starts[molecule] + ends[0] * (sizes[molecule] - 1) + column] = types
    return Molecules(
        index=arrays["index"],
        sizes=sizes,
        atoms=_features(arrays, ends + atom_starts[molecule], types),
        positions=(arrays["positions"] * arrays["resolution"]).astype(np.float32),
        atom_starts=atom_starts,
        pairs=pairs,
        pair_starts=pair_starts,
        targets=_targets(arrays, atom_starts),
    )


def load(data: str = "auto") -> tuple[Molecules, sources.Source]:
    """Load all of QM9, or the 10,000 real molecules of it that ship with mtlgym.

    The first load of the full set reads the package qm9pack (about a minute) and keeps a copy under
    `sources.root()`.

    Args:
        data: "auto", "real" or "embedded"; see `sources.choose`.

    Raises:
        ValueError: for another mode, or a damaged file; names the file.
        FileNotFoundError: for "real" without the files; says how to get them.
        ImportError: if qm9pack is there but not RDKit.
    """
    found = sources.choose(data, "qm9")
    if found is None:
        arrays, source = sources.embedded("qm9")
        return unpack(arrays), source
    cache = sources.DATASETS["qm9"].folder / "qm9.npz"
    digest = cache.with_suffix(".npz.sha256")
    if found != cache.parent:
        _keep(found / "data", cache, digest)
    expected = kept_digest(digest)
    arrays = read_arrays(cache, expected)
    return unpack(arrays), sources.Source("qm9", "real", cache, expected)


def split(molecules: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The indices of "train", "val" and "test": random, disjoint, together all molecules.

    The full set has 10,000 for validation, 10,000 for test and 110,831 for training, as the
    papers do; other sets are split 80 : 10 : 10. The seed belongs to the split and is independent
    of the seed of a training.
    """
    if molecules < 10:
        raise ValueError(f"`molecules` must be at least 10 to be split, not {molecules}")
    held = 10_000 if molecules == FULL else molecules // 10
    order = np.random.default_rng(seed).permutation(molecules)
    return {"train": order[2 * held :], "val": order[:held], "test": order[held : 2 * held]}


def _features(arrays: Mapping[str, np.ndarray], ends: np.ndarray, types: np.ndarray) -> np.ndarray:
    """(atoms, 11) as in `MoleculeBatch.x`, from directed bonds (2, bonds) and their types."""
    numbers, hybrids = arrays["numbers"], arrays["hybrids"]
    atoms = len(numbers)
    hydrogens = np.bincount(ends[0], weights=numbers[ends[1]] == 1, minlength=atoms)
    aromatic = np.bincount(ends[0], weights=types == 4, minlength=atoms) > 0
    kinds = hybrids[:, None] == [1, 2, 3]
    columns = (numbers[:, None] == ELEMENTS, numbers, aromatic, kinds, hydrogens)
    return np.column_stack(columns).astype(np.uint8)


def _targets(arrays: Mapping[str, np.ndarray], atom_starts: np.ndarray) -> np.ndarray:
    """(molecules, 11) in `UNITS`, from the published values."""
    published = arrays["targets"] / 10.0 ** arrays["decimals"][:, None]  # exact decimals
    targets = {
        task: column * (HARTREE if UNITS[task] == "eV" else 1.0)
        for task, column in zip(TASKS, published, strict=True)
    }
    element = np.searchsorted(ELEMENTS, arrays["numbers"])
    for task, energies in FREE_ATOMS.items():
        targets[task] -= np.add.reduceat(np.array(energies)[element], atom_starts)
    return np.column_stack(list(targets.values()))


def _keep(folder: Path, cache: Path, digest: Path) -> None:
    """Read the published files once and write the compact copy, its SHA-256 last."""
    from mtlgym.datasets import qm9_raw  # needs RDKit, which is optional

    arrays = qm9_raw.parse(qm9_raw.rows(folder))
    write_atomically(digest, write_arrays(cache, arrays).encode())
