"""Pictures of tasks that are domains, from results that are made up."""

from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from mtlgym.bench.runs.cell import LOG, Cell
from mtlgym.io import jsonl
from mtlgym.report.plots import domains, gallery
from mtlgym.report.run_tables import section_of

TASKS = ["art", "clipart", "product"]
MATRIX = np.array([[0.0, 0.2, 0.8], [0.4, 0.0, 0.6], [0.1, 0.9, 0.0]])


def result(label="VMTL, 5 %", seed=0, test=None, options=None, **told) -> dict[str, Any]:
    """A finished run; accuracies of 10, 20 and 60 % unless other figures are given."""
    accuracies = {f"{task}/accuracy": 10.0 * x for task, x in zip(TASKS, (1, 2, 6), strict=True)}
    return {
        "env": "MTL-Emoji-v0",
        "agent": "equal",
        "label": label,
        "seed": seed,
        "tasks": TASKS,
        "data": "embedded",
        "delta_m": None,
        "failure": "",
        "seconds": 1.0,
        "options": {"model": "vmtl", "fraction": 0.05} | (options or {}),
        "test": accuracies if test is None else test,
        "units": {},
        "higher_is_better": {},
        "baseline": None,
        **told,
    }


def levels(shift=0.0):
    """Accuracies without an attack and at two noise levels."""
    found: dict[str, float] = {}
    for name, drop in (("accuracy", 0), ("accuracy_fgsm_0.1", 20), ("accuracy_fgsm_0.02", 10)):
        found |= {f"{task}/{name}": 80.0 + shift - drop for task in TASKS}
    return found | {f"{task}/nll": 1.0 for task in TASKS}


def drawn(results, tmp_path):
    """Names of the pictures of these runs, each of which has a short log."""
    for each in results:
        folder = Cell.of(each).folder(tmp_path)
        folder.mkdir(parents=True)
        rows = jsonl.Log(folder / LOG)
        for step in (10, 20):
            losses = [1.0 / step, 2.0 / step, 6.0 / step]
            row = {"step": step, "losses": losses, "weights": [1.0] * 3, "score": 0.5}
            rows.write(row)
        each["log_sha256"] = sha256((folder / LOG).read_bytes()).hexdigest()
    (tmp_path / "pictures").mkdir()
    gallery.write_figures(section_of(results, tmp_path), tmp_path / "pictures")
    return {path.stem for path in (tmp_path / "pictures").glob("*.png")}


ALWAYS = {"learning-curves", "weights", "trade-off"}
RELATED = {"relatedness": {"z": MATRIX.tolist(), "w": MATRIX.tolist()}}


@pytest.mark.parametrize(
    ("results", "more"),
    [
        ([result(), result(seed=1)], set()),
        ([result(**RELATED)], {"relatedness", "training-loss"}),
        ([result(), result("VMTL, 10 %", options={"fraction": 0.1})], {"fractions"}),
        ([result(), result("bMTL, 10 %", options={"fraction": 0.1, "model": "bmtl"})], set()),
        ([result(test=levels())], {"fgsm"}),
    ],
)
def test_the_pictures_are_those_that_the_results_have_figures_for(results, more, tmp_path):
    assert drawn(results, tmp_path) == ALWAYS | more


def test_relatedness_is_a_mean_over_seeds_of_the_first_rows_that_have_one():
    other = {"relatedness": {"z": (3 * MATRIX).tolist(), "w": MATRIX.tolist()}}
    runs = [result("bMTL, 5 %"), result(**RELATED), result(seed=1, **other)]
    runs += [result(f"VMTL, {i} %", **RELATED) for i in range(10, 20)]
    found = domains.relatedness(runs)
    assert list(found) == ["VMTL, 5 %", *(f"VMTL, {i} %" for i in range(10, 15))]
    tasks, means = found["VMTL, 5 %"]
    assert tasks == TASKS
    np.testing.assert_allclose(means["z"], 2 * MATRIX)
    np.testing.assert_allclose(means["w"], MATRIX)


def test_heat_maps_have_a_number_a_pair_of_tasks_and_a_blank_diagonal():
    alone = result("VMTL with z alone, 5 %", relatedness={"z": MATRIX.tolist()})
    figure = domains.heat_maps(domains.relatedness([result(**RELATED), alone]))
    assert [axes.get_title() for axes in figure.axes] == [
        "VMTL, 5 %\nrepresentations z",
        "VMTL, 5 %\nclassifiers w",
        "VMTL with z alone, 5 %\nrepresentations z",
        "",  # its classifiers are no distributions
        "",  # the bar of colours
    ]
    axes = figure.axes[0]
    numbers = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    pairs = [(t, i) for t in range(3) for i in range(3) if t != i]
    assert numbers == {(i, t): f"{MATRIX[t, i]:.2f}" for t, i in pairs}  # across, down
    shown: Any = axes.images[0].get_array()
    assert np.diag(shown.mask).all()
    assert shown.mask.sum() == 3
    np.testing.assert_array_equal(shown.data, MATRIX)
    assert [label.get_text() for label in axes.get_yticklabels()] == TASKS
    assert not figure.axes[3].images


def test_accuracies_by_share_of_labels_are_a_line_a_method_and_a_panel_a_domain():
    more = {f"{task}/accuracy": 50.0 for task in TASKS}
    ten = {"fraction": 0.1}
    runs = [
        result("VMTL, 10 %", test=more, options=ten),
        result(),
        result(seed=1, test=more | {"art/accuracy": 30.0}),
        result("bMTL, 5 %", options={"model": "bmtl"}),
    ]
    panels = domains.by_fraction(runs)
    assert list(panels) == [*TASKS, "average"]
    art, average = panels["art"], panels["average"]
    assert [name for name, _ in art] == ["VMTL", "bMTL"]
    assert list(art.values()) == [{10.0: [50.0], 5.0: [10.0, 30.0]}, {5.0: [10.0]}]
    assert next(iter(average.values()))[5.0] == pytest.approx([30.0, 130 / 3])
    figure = domains.accuracies(panels, "labels")
    lines = figure.axes[0].lines
    assert np.asarray(lines[0].get_xydata()).tolist() == [[5.0, 20.0], [10.0, 50.0]]
    low_high = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    assert (low_high[:, 1].min(), low_high[:, 1].max()) == (10.0, 50.0)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["VMTL", "bMTL"]


def test_methods_of_equal_names_and_other_options_are_lines_of_their_own():
    mean = {"prior": "mean"}
    runs = [result(options=mean), result("VMTL, 10 %", options={"fraction": 0.1})]
    assert domains.by_fraction(runs) == {}
    runs.append(result("VMTL, 10 % (mean)", options=mean | {"fraction": 0.1}))
    lines = domains.by_fraction(runs)["art"]
    assert [(name, len(places)) for (name, _), places in lines.items()] == [
        ("VMTL", 2),
        ("VMTL", 1),
    ]


def test_accuracies_under_attack_start_at_noise_level_zero():
    runs = [
        result("VMTL, 5 % under attack", test=levels()),
        result("bMTL, 5 % under attack", test=levels(-5.0)),
        result("bMTL, 5 % under attack", 1, test=levels(-15.0)),
        result("STL, 5 %"),
    ]
    panels = domains.by_noise(runs)
    assert [name for name, _ in panels["average"]] == ["VMTL", "bMTL"]
    vmtl, bmtl = panels["clipart"].values()
    assert vmtl == {0.0: [80.0], 0.1: [60.0], 0.02: [70.0]}
    assert bmtl[0.1] == [55.0, 45.0]
    figure = domains.noise_levels(panels)
    axes = figure.axes[-1]
    assert axes.get_title() == "average"
    assert axes.get_xticks().tolist() == [0.0, 0.02, 0.1]
    assert np.asarray(axes.lines[1].get_xydata()).tolist() == [[0, 70], [0.02, 60], [0.1, 50]]


def test_a_figure_that_is_not_known_is_left_out_with_the_average_that_lacks_it():
    unknown = result(test={**result()["test"], "art/accuracy": None})
    runs = [unknown, result("VMTL, 10 %", options={"fraction": 0.1})]
    panels = domains.by_fraction(runs)
    assert [list(places) for places in panels["art"].values()] == [[10.0]]
    assert [list(places) for places in panels["average"].values()] == [[10.0]]
    assert [list(places) for places in panels["clipart"].values()] == [[5.0, 10.0]]


def test_the_training_loss_is_the_mean_over_the_tasks():
    rows = [{"step": step, "losses": [1.0 * step, 2.0, 6.0]} for step in (4, 10)]
    axes = domains.training_loss({"VMTL": [rows]}, {"VMTL": 0}).axes[0]
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[4, 4], [10, 6]]
    assert axes.get_xlabel() == "step"


def test_a_noise_level_of_zero_alone_is_no_attack():
    measured = {"art/accuracy": 50.0, "art/accuracy_fgsm_0": 50.0}
    alone = result("VMTL, 5 %", test=measured)
    assert domains.by_noise([alone]) == {}
