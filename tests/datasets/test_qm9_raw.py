import csv
import sys

import numpy as np
import pytest

import mtlgym.datasets
from mtlgym.datasets import qm9, sources
from mtlgym.datasets.formats.arrays import read_arrays, sha256

# The published records 1, 4, 5 and 214; and 5 again with the SMILES of its isomer, which differs
# from the geometry. Elements; coordinates in Angstrom; targets in the order of the CSV file.
METHANE = [0.0, 13.21, -0.3877, 0.1171, 35.3641, 0.044749]
METHANE += [-40.47893, -40.476062, -40.475117, -40.498597, 6.469]
RING = [[np.cos(a), np.sin(a), 0.0] for a in np.arange(6) * np.pi / 3]
RECORDS = [
    ("1", "C", "CHHHH", [[0, 0, 0], *(0.63 * np.array(
        [[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]))], METHANE),
    ("4", "C#C", "CCHH", [[0.5995, 0, 1], [-0.5995, 0, 1], [-1.6616, 0, 1], [1.6616, 0, 1]], None),
    ("5", "C#N", "CNH", [[-0.0133, 1.1325, 0], [0.0023, -0.0192, 0], [-0.0278, 2.1989, 0]], None),
    ("214", "C1=CC=CC=C1", "CCCCCCHHHHHH",
     [*(1.394 * np.array(RING)), *(2.481 * np.array(RING))], None),
    ("6", "[C-]#[NH+]", "CNH", [[-0.0133, 1.1325, 0], [0.0023, -0.0192, 0], [-0.0278, 2.1989, 0]],
     None),
]  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package like qm9pack that cannot be imported, with five molecules in three files."""
    raw = pytest.importorskip("mtlgym.datasets.qm9_raw")
    data = tmp_path / "site" / "qm9pack" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('not to be imported')\n")
    for name, part in zip(raw.CHECKSUMS, (RECORDS[:2], RECORDS[2:3], RECORDS[3:]), strict=True):
        with (data / name).open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["Index", "SMILES", "Elements", "XYZ_Ang", *raw.COLUMNS])
            for index, smiles, elements, positions, targets in part:
                places = str(np.array(positions, float).tolist())
                out.writerow(
                    [
                        index,
                        smiles,
                        str(list(elements)).replace(" ", ""),
                        places,
                        *(targets or METHANE),
                    ]
                )
    sums = {name: sha256(data / name) for name in raw.CHECKSUMS}
    monkeypatch.setattr(raw, "CHECKSUMS", sums)
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path / "root"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    return data


def bonds_of(molecules, which):
    batch = molecules.batch([which])
    kinds = batch.edge_attr[:, :4]
    joined = {
        (int(i), int(j)): ("single", "double", "triple", "aromatic")[int(kind.argmax())]
        for (i, j), kind in zip(batch.edge_index.T, kinds, strict=True)
        if kind.any()
    }
    return batch, joined


def test_real_files_are_parsed_once_and_kept(package, monkeypatch):
    first, source = qm9.load("real")
    cache = sources.root() / "qm9" / "qm9.npz"
    assert source == sources.Source("qm9", "real", cache, sha256(cache))
    assert first.index.tolist() == [1, 4, 5, 214, 6]
    monkeypatch.setitem(sys.modules, "rdkit", None)
    for file in package.iterdir():
        file.unlink()
    second, again = qm9.load("auto")
    assert again == source
    for key in ("atoms", "positions", "pairs", "targets"):
        assert np.array_equal(getattr(first, key), getattr(second, key))


def test_methane_has_the_targets_that_pytorch_geometric_gives_it(package):
    molecules, _ = qm9.load("real")
    expected = [0, 13.21, -10.5499, 3.1865, 35.3641, 1.2177, -17.1722, -17.2868, -17.3897]
    expected += [-16.1519, 6.4690]
    assert molecules.targets[0] == pytest.approx(expected, abs=5e-5)


def test_bonds_of_known_molecules_are_found(package):
    molecules, _ = qm9.load("real")
    batch, bonds = bonds_of(molecules, 0)
    assert bonds == {pair: "single" for i in range(1, 5) for pair in ((0, i), (i, 0))}
    assert batch.x[0].tolist() == [0, 1, 0, 0, 0, 6, 0, 0, 0, 1, 4]
    assert batch.x[1].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    batch, bonds = bonds_of(molecules, 1)
    pairs = {(0, 1): "triple", (1, 2): "single", (0, 3): "single"}
    assert bonds == pairs | {(j, i): kind for (i, j), kind in pairs.items()}
    assert batch.x[0].tolist() == [0, 1, 0, 0, 0, 6, 0, 1, 0, 0, 1]
    batch, bonds = bonds_of(molecules, 3)
    ring = {(i, j): "aromatic" for i in range(6) for j in ((i + 1) % 6, (i - 1) % 6)}
    outer = {pair: "single" for i in range(6) for pair in ((i, i + 6), (i + 6, i))}
    assert bonds == ring | outer
    assert batch.x[:6].tolist() == [[0, 1, 0, 0, 0, 6, 1, 0, 1, 0, 1]] * 6


def test_a_geometry_that_does_not_fit_its_smiles_speaks_for_itself(package):
    molecules, source = qm9.load("real")
    _, bonds = bonds_of(molecules, 4)
    assert bonds == {(0, 1): "triple", (1, 0): "triple", (0, 2): "single", (2, 0): "single"}
    arrays = read_arrays(source.path, source.sha256)
    assert arrays["perceived"].tolist() == [0, 0, 0, 0, 1]


def test_a_damaged_cache_is_refused_until_it_is_deleted(package):
    molecules, source = qm9.load("real")
    content = bytearray(source.path.read_bytes())
    content[len(content) // 2] ^= 1
    source.path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=rf"qm9.npz is damaged: expected SHA-256 {source.sha256}"):
        qm9.load("real")
    source.path.unlink()
    assert np.array_equal(qm9.load("real")[0].pairs, molecules.pairs)


def test_published_files_with_another_checksum_are_refused(package):
    file = package / "qm9_part2.csv"
    file.write_text(file.read_text().replace("C#N", "N#C"))
    with pytest.raises(ValueError, match=r"qm9_part2.csv is damaged: expected SHA-256"):
        qm9.load("auto")
    assert not (sources.root() / "qm9").exists()


def test_without_rdkit_the_error_names_the_extra(package, monkeypatch):
    monkeypatch.delitem(sys.modules, "mtlgym.datasets.qm9_raw")
    monkeypatch.delattr(mtlgym.datasets, "qm9_raw")
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ImportError, match=r"pip install mtlgym\[qm9\]"):
        qm9.load("real")
