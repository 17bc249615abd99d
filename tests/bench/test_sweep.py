"""Sweeps, tuning and what runs are told to, on the command line and from Python."""

import re

import pytest

from mtlgym.bench import sweep
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import RESULT, SETTINGS, Cell
from mtlgym.bench.runs.execution import PLAIN, Execution, FailedRunsError
from mtlgym.bench.runs.results import read_finished
from mtlgym.bench.runs.run import run_cell
from mtlgym.cli.main import main
from mtlgym.io import checked_json

QM9, BANDIT = "MTL-QM9-Mini-v0", "MTL-Bandit-v0"
TINY = {"batch_size": 1000, "epochs": 1, "dim": 4, "edge_hidden": 2}
GRID = """
seeds = [0, 1]
agents = ["uniform", "exp3s"]

[options]
steps = 20

[[envs]]
id = "MTL-Bandit-v0"
grid = { alpha = [1.0, 2.0] }

[[envs]]
id = "MTL-Bandit-v0"
agents = ["thompson"]
seeds = [3]
options = { steps = 10 }
"""


def written(tmp_path, text=GRID):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_a_grid_is_every_combination_a_seed_at_a_time(tmp_path):
    cells = sweep.read(written(tmp_path))
    assert len(cells) == 2 * 2 * 2 + 1
    first = [(cell.seed, cell.options["alpha"], cell.agent) for cell in cells[:4]]
    assert first == [(0, a, agent) for a in (1.0, 2.0) for agent in ("uniform", "exp3s")]
    assert cells[-1] == Cell(BANDIT, "thompson", 3, {"steps": 10})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "`envs` must be at least one"),
        ("envs = 3", "`envs` must be at least one"),
        ("envs = [3]", "`envs` must be tables with an `id`, not 3"),
        ('[[envs]]\nid = "X"', "X: `agents` is missing"),
        ('agent = ["equal"]\n[[envs]]\nid = "X"', "unknown key 'agent'. Did you mean 'agents'"),
        ('agents = "equal"\n[[envs]]\nid = "X"', "`agents` must be a list"),
        ('seeds = [-1]\n[[envs]]\nid = "X"', "`seeds` must be an integer of at least 0, not -1"),
        ('[[envs]]\nid = "X"\ngrid = {lr = 3}', "X: `grid.lr` must be a list"),
        (
            'agents = ["equal"]\n[options]\nlr = 1\n[grid]\nlr = [1]\n[[envs]]\nid = "X"',
            "not in both",
        ),
        ('[[envs]]\nid = "X"\ntuned = "f"\noptions = {lr = 1}', "do not go with `tuned`"),
        ("[[envs", "grid.toml"),
        ("\ud800", None),
    ],
)
def test_a_file_that_is_no_grid_is_named_and_the_key_too(text, told, tmp_path):
    path = tmp_path / "grid.toml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ValueError, match=re.escape(told or "grid.toml")) as raised:
        sweep.read(path)
    assert "grid.toml" in str(raised.value)


def test_a_sweep_runs_on_the_command_line_and_is_done_when_called_again(tmp_path, capsys):
    path, out = written(tmp_path), tmp_path / "runs"
    assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert "9 runs" in capsys.readouterr().out
    runs = read_finished(out)
    assert {run.name for run in runs} == {
        *(f"{agent} (alpha={a})" for agent in ("uniform", "exp3s") for a in (1.0, 2.0)),
        "thompson",
    }
    times = {path: path.stat().st_mtime_ns for path in out.glob(f"*/cells/*/{RESULT}")}
    assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_cell_s_folder_is_named_by_its_settings_and_holds_them(tmp_path):
    cell = Cell(QM9, "equal", 0, TINY)
    folder = cell.folder(tmp_path)
    run_cell(cell, folder)
    assert folder.name == checked_json.digest(cell.describe())[:16]
    assert Cell(QM9, "equal", 0, {**TINY, "lr": 1e-4}).folder(tmp_path) != folder
    assert Cell(QM9, "equal", 0, dict(reversed(TINY.items()))).folder(tmp_path) == folder
    said = checked_json.read(folder / SETTINGS)
    assert said["settings"]["options"]["batch_size"] == 1000
    assert said["versions"]["torch"]
    assert said["data"] == {
        "kind": "embedded",
        "sha256": checked_json.read(folder / RESULT)["data_sha256"],
    }


def test_a_run_on_other_data_is_refused_by_name(tmp_path):
    cell = Cell(BANDIT, "uniform", 0, {"steps": 5})
    run_cell(cell, tmp_path)
    (tmp_path / RESULT).unlink()
    said = checked_json.read(tmp_path / SETTINGS)
    checked_json.write(tmp_path / SETTINGS, {**said, "data": {"kind": "real", "sha256": "0"}})
    with pytest.raises(ValueError, match="holds a run on other data"):
        run_cell(cell, tmp_path)


def test_a_cell_that_raises_does_not_stop_the_others(tmp_path):
    good, bad = (Cell(BANDIT, agent, 0, {"steps": 5}) for agent in ("uniform", "exp3s"))
    (bad.folder(tmp_path)).parent.mkdir(parents=True)
    bad.folder(tmp_path).write_text("a file where a folder should be")
    places = [(cell, cell.folder(tmp_path)) for cell in (bad, good)]
    with pytest.raises(FailedRunsError, match="1 of 2 runs failed:\nexp3s, seed 0, in MTL-Bandit"):
        run_cells(places, PLAIN)
    assert (good.folder(tmp_path) / RESULT).exists()


def test_jobs_give_what_one_process_gives(tmp_path):
    cells = [Cell(BANDIT, "exp3s", seed, {"steps": 20}) for seed in range(3)]
    alone, together = (
        run_cells(
            [(cell, cell.folder(tmp_path / str(jobs))) for cell in cells], Execution(jobs=jobs)
        )
        for jobs in (1, 2)
    )
    assert [{**each, "seconds": 0} for each in alone] == [
        {**each, "seconds": 0} for each in together
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"jobs": 0}, "`jobs`"),
        ({"retries": -1}, "`retries`"),
        ({"checkpoint_every": 0}, "`checkpoint_every`"),
        ({"backend": "rai"}, "unknown backend 'rai'. Did you mean 'ray'"),
        ({"address": "auto"}, "`address` goes with backend 'ray'"),
    ],
)
def test_an_execution_that_makes_no_sense_is_refused(given, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        Execution(**given)


def test_a_result_of_another_layout_is_left_out_by_name(tmp_path):
    cell = Cell(BANDIT, "uniform", 0, {"steps": 5})
    result = run_cell(cell, cell.folder(tmp_path))
    path = cell.folder(tmp_path) / RESULT
    wrong: dict = {"seconds": None, "options": [], "seed": "0", "versions": 3}
    for key, value in wrong.items():
        checked_json.write(path, {**result, key: value})
        with pytest.warns(UserWarning, match=f"{RESULT} is of another layout: its '{key}'"):
            assert read_finished(tmp_path) == []


def test_runs_of_another_version_are_told_apart_and_not_pooled(tmp_path, capsys):
    arguments = ["bench", "--env", BANDIT, "--agents", "uniform", "--out", str(tmp_path)]
    assert main([*arguments, "--set", "steps=5"]) == 0
    path = Cell(BANDIT, "uniform", 0, {"steps": 5}).folder(tmp_path) / RESULT
    result = checked_json.read(path)
    other = path.parents[1] / "other" / RESULT
    other.parent.mkdir()
    checked_json.write(other, {**result, "versions": {**result["versions"], "mtlgym": "0.0.9"}})
    assert main([*arguments, "--set", "steps=5"]) == 0
    table = (tmp_path / BANDIT / "table.csv").read_text().splitlines()
    assert len(table) == 2
    assert ",1,0," in table[1]  # one seed
    names = {run.name for run in read_finished(tmp_path)}
    assert len(names) == 2
    assert "uniform (mtlgym 0.0.9)" in names


@pytest.mark.parametrize("option", ["id=x", "num_envs=3", "max_episode_steps=3", "render_mode=x"])
def test_what_is_gymnasium_s_is_no_option_of_a_run(option, tmp_path, capsys):
    arguments = ["bench", "--env", BANDIT, "--agents", "uniform", "--out", str(tmp_path)]
    assert main([*arguments, "--set", option]) == 1
    assert f"`{option.partition('=')[0]}` is Gymnasium's" in capsys.readouterr().err
