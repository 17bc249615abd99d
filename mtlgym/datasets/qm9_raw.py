"""QM9 as the package qm9pack publishes it, with bonds; needed once, to build a compact copy.

Source: Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1 (2014) 140022,
https://doi.org/10.1038/sdata.2014.22. The files hold SMILES and coordinates but no bonds, so each
geometry is matched to its SMILES.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mtlgym.datasets.formats.arrays import verify

try:
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds
except ImportError as error:
    raise ImportError("bonds of QM9 need RDKit: pip install mtlgym[qm9]") from error

CHECKSUMS = {  # of qm9pack 1.0.3
    "qm9_part1.csv": "19f0a5d595462d52cd82eef3370f3e9eb55a1f52cb14985657200349568deff3",
    "qm9_part2.csv": "2bca113fdc0b28a13563c80ed9b240e934f3da6c64c64fe74ddb4f0f36036e61",
    "qm9_part3.csv": "9c5efb5733d2af149db8d95d36ff198b4ffed12d9f7b344220a1e5877d5c6a43",
}
COLUMNS = {  # of the targets, and the decimals that are given
    "Dipole_debye": 4,
    "Polarizability_bohr3": 2,
    "HOMO_au": 4,
    "LUMO_au": 4,
    "R2_bohr2": 4,
    "ZPVE_au": 6,
    "InternalEnergy_0K_au": 6,
    "InternalEnergy_298K_au": 6,
    "Enthalphy_298K_au": 6,
    "GibbsFreeEnergy_298K_au": 6,
    "Heatcapacity_Cv_cal_mol_K": 3,
}
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
REACH = (1.3, 1.25, 1.2, 1.15, 1.1)  # bonded: nearer than this times the sum of covalent radii
BOND_TYPES = {  # as stored; 0 is no bond
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
    Chem.BondType.AROMATIC: 4,
}
HYBRIDS = {  # as stored; 0 is anything else, such as hydrogen's
    Chem.HybridizationType.SP: 1,
    Chem.HybridizationType.SP2: 2,
    Chem.HybridizationType.SP3: 3,
}


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of the CSV files in a folder, once their SHA-256s are checked.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for a file whose SHA-256 is not the published one.
    """
    keep = ("Index", "SMILES", "Elements", "XYZ_Ang", *COLUMNS)
    table = []
    for name, expected in tqdm(CHECKSUMS.items(), desc="reading QM9", unit="file"):
        verify(folder / name, expected)
        with (folder / name).open(newline="") as file:
            table += [{key: row[key] for key in keep} for row in csv.DictReader(file)]
    return table


def parse(table: list[dict[str, str]], resolution: float = 1e-6) -> dict[str, np.ndarray]:
    """The compact arrays that `qm9.unpack` reads.

    Args:
        table: what `rows` gives, or some of it.
        resolution: of the positions, in Angstrom; from 1e-3 on they are stored in two bytes.

    Returns:
        `index` (molecules,) number in the original files; `sizes`, `bond_counts` (molecules,);
        `numbers`, `hybrids` (atoms,); `positions` (atoms, 3) in units of `resolution`; `bonds`
        (bonds, 2) atoms of one molecule, first < second, ascending; `bond_types` (bonds,);
        `perceived` (molecules,) 1 where the bonds come from the geometry alone, because it does
        not fit the SMILES; `targets` (11, molecules) as published, in units of the last decimal;
        `decimals` (11,).
    """
    parts = list(zip(*tqdm(_molecules(table), total=len(table), desc="bonds"), strict=True))
    numbers, positions, hybrids, bonds, perceived = parts
    steps = np.rint(np.concatenate(positions) / resolution)
    bond_table = np.concatenate(bonds).astype(np.uint8)
    decimals = np.array(list(COLUMNS.values()))
    raw = np.array([[float(row[key]) for row in table] for key in COLUMNS])
    return {
        "index": np.array([int(row["Index"]) for row in table], np.int32),
        "sizes": np.array([len(each) for each in numbers], np.uint8),
        "numbers": np.concatenate(numbers).astype(np.uint8),
        "hybrids": np.concatenate(hybrids).astype(np.uint8),
        "positions": steps.astype(np.int16 if resolution >= 1e-3 else np.int32),
        "resolution": np.array(resolution),
        "bond_counts": np.array([len(each) for each in bonds], np.uint8),
        "bonds": bond_table[:, :2],
        "bond_types": bond_table[:, 2],
        "perceived": np.array(perceived, np.uint8),
        "targets": np.rint(raw * 10.0 ** decimals[:, None]).astype(np.int32),
        "decimals": decimals.astype(np.uint8),
    }


def _molecules(table: list[dict[str, str]]) -> Iterator[tuple]:
    """Per molecule: numbers, positions, hybridizations, bonds with types, whether perceived."""
    for row in table:
        names = row["Elements"].strip("[]").replace("'", "").split(",")
        numbers = [NUMBERS[name] for name in names]
        text = row["XYZ_Ang"].replace("[", "").replace("]", "")
        positions = np.array(text.split(","), dtype=float).reshape(-1, 3)
        molecule = _from_smiles(row["SMILES"], numbers, positions)
        perceived = molecule is None
        if molecule is None:
            molecule = _from_geometry(numbers, positions)
        hybrids = [HYBRIDS.get(atom.GetHybridization(), 0) for atom in molecule.GetAtoms()]
        yield numbers, positions, hybrids, _bonds(molecule), perceived


def _from_smiles(smiles: str, numbers: list[int], positions: np.ndarray) -> Chem.Mol | None:
    """The molecule of the SMILES with its atoms in the geometry's order; None if they differ."""
    template = Chem.AddHs(Chem.MolFromSmiles(smiles))
    bare = Chem.RWMol()
    for atom in template.GetAtoms():
        bare.AddAtom(_atom(atom.GetAtomicNum()))
    for bond in template.GetBonds():
        bare.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    for reach in REACH:
        found = _connected(numbers, positions, reach)
        same_size = found.GetNumBonds() == bare.GetNumBonds() and len(numbers) == bare.GetNumAtoms()
        match = bare.GetSubstructMatch(found) if same_size else ()
        if match:
            return Chem.RenumberAtoms(template, match)
    return None


def _from_geometry(numbers: list[int], positions: np.ndarray) -> Chem.Mol:
    """The neutral molecule whose bond orders fit the geometry best."""
    molecule = _connected(numbers, positions, REACH[0])
    rdDetermineBonds.DetermineBondOrders(molecule, charge=0, embedChiral=False)
    Chem.SanitizeMol(molecule)
    return molecule


def _connected(numbers: list[int], positions: np.ndarray, reach: float) -> Chem.RWMol:
    """Atoms joined by single bonds where they are near each other."""
    molecule = Chem.RWMol()
    for number in numbers:
        molecule.AddAtom(_atom(number))
    conformer = Chem.Conformer(len(numbers))
    conformer.SetPositions(positions)
    molecule.AddConformer(conformer)
    rdDetermineBonds.DetermineConnectivity(molecule, useVdw=True, covFactor=reach)
    return molecule


def _atom(number: int) -> Chem.Atom:
    atom = Chem.Atom(number)
    atom.SetNoImplicit(True)
    return atom


def _bonds(molecule: Chem.Mol) -> np.ndarray:
    """(bonds, 3): first atom < second atom, and the stored type, ascending."""
    table = sorted(
        (*sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())), BOND_TYPES[bond.GetBondType()])
        for bond in molecule.GetBonds()
    )
    return np.array(table, dtype=np.uint8).reshape(-1, 3)
