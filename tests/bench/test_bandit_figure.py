"""Runs of agents that choose tasks: their decisions, who learns from them, and the bandit."""

import csv
import itertools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mtlgym.agents import OffPolicyLog
from mtlgym.agents.off_policy.log import read
from mtlgym.bench import sweep
from mtlgym.bench.bench import bench_table
from mtlgym.bench.plan import figure_cells, plan
from mtlgym.bench.runs.backends.backends import waves
from mtlgym.bench.runs.cell import DECISIONS, LOG, RESULT, Cell
from mtlgym.bench.runs.results import read_finished
from mtlgym.bench.runs.run import Run, run_cell
from mtlgym.cli.main import main
from mtlgym.io import jsonl
from mtlgym.presets.published import PublishedRow, TablePreset, figure, figures, table
from mtlgym.report import bandit_figure
from mtlgym.report.measures import regrets
from mtlgym.report.sections import group_runs

BANDIT: dict[str, Any] = {"steps": 40, "arms": 3}
TEXTS: dict[str, Any] = {
    "tasks": ["vader_amazon", "wn_wic"],
    "layers": 1,
    "width": 8,
    "attention_heads": 1,
    "batch_size": 2,
    "steps": 60,
    "validate_steps": 30,
}


class Stopped(Exception):
    pass


def stop_at(steps):
    counted = itertools.count(1)

    def stop(run):
        if next(counted) == steps:
            raise Stopped

    return stop


def test_a_bandit_run_logs_decisions_and_reports_the_final_score(tmp_path):
    cell = Cell("MTL-Bandit-v0", "exp3s", 3, BANDIT)
    result = run_cell(cell, tmp_path)
    assert result["data"] == "synthetic"
    assert result["steps"] == 40
    found = read(tmp_path / DECISIONS)
    assert len(found) == 40
    assert np.bincount(found.actions, minlength=3) / 40 == pytest.approx(result["chosen"])
    assert sum(result["probabilities"]) == pytest.approx(1.0)
    rows = jsonl.read(tmp_path / LOG)
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert rows[-1]["score"] == pytest.approx(1 - result["test"]["score"])
    assert 0 < result["test"]["score"] < 1


def test_an_agent_that_practises_is_measured_in_the_episode_after(tmp_path):
    cell = Cell("MTL-Bandit-v0", "counterfactual", 0, BANDIT | {"steps": 200})
    result = run_cell(cell, tmp_path)
    found = read(tmp_path / DECISIONS)
    assert len(found) == 600  # uniform, once improved, and twice
    assert np.allclose(found.propensities[:200], 1 / 3)
    last = np.array(result["probabilities"])
    assert np.allclose(found.propensities[400:], last[found.actions[400:]])
    assert not np.allclose(last, 1 / 3)
    assert result["chosen"] == pytest.approx(np.bincount(found.actions[400:], minlength=3) / 200)
    assert result["practice"] == 2
    rows = jsonl.read(tmp_path / LOG)
    assert [row["step"] for row in rows] == list(range(2, 201, 2))


@pytest.mark.parametrize(
    ("agent", "later"),
    # 55 and 50 steps after the first stop: in the second and in the third episode
    [("counterfactual:iterations=5", (55, 50)), ("exp3s", (25,)), ("thompson", (25,))],
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(agent, later, tmp_path):
    cell = Cell("MTL-Bandit-v0", agent, 1, BANDIT)
    whole = run_cell(cell, tmp_path / "whole")
    for steps in (17, *later):
        with pytest.raises(Stopped):
            run_cell(cell, tmp_path / "cut", stop_at(steps), checkpoint_every=10)
    again = run_cell(cell, tmp_path / "cut", checkpoint_every=10)
    for result in (whole, again):
        result.pop("seconds")
    assert whole == again
    logs = [read(tmp_path / name / DECISIONS) for name in ("whole", "cut")]
    assert np.array_equal(logs[0].actions, logs[1].actions)
    assert np.array_equal(logs[0].propensities, logs[1].propensities)
    assert jsonl.read(tmp_path / "whole" / LOG) == jsonl.read(tmp_path / "cut" / LOG)


def test_a_policy_learns_from_the_decisions_of_another_row(tmp_path):
    chosen = plan(table("glue-table1"), "embedded", TEXTS)
    cells = chosen.cells(["Counterfactual", "Random"], [0])
    results = bench_table(chosen, cells, tmp_path)
    assert {result["label"] for result in results} == {"Counterfactual", "Random"}
    by_label = {result["label"]: result for result in results}
    assert by_label["Random"]["probabilities"] == [0.5, 0.5]
    assert by_label["Random"]["task_sizes"] == [400, 800]
    learnt = by_label["Counterfactual"]
    log = read(cells[1].folder(tmp_path) / DECISIONS)
    rewards = [log.rewards[log.actions == task].mean() for task in range(2)]
    better = int(np.argmax(rewards))
    assert learnt["probabilities"][better] > 0.5
    assert "score" in learnt["test"]
    folder = chosen.folder(tmp_path)
    assert (folder / "policies.png").stat().st_size > 1000
    table_text = (folder / "table.md").read_text()
    assert "| published" not in table_text


def test_a_row_without_its_log_says_which_file_it_wants(tmp_path):
    cell = plan(table("glue-table1"), "embedded", TEXTS).cells(["Counterfactual"], [0])[0]
    wanted = "cells has no finished run of 'Random' from seed 0: run 'Random' first"
    with pytest.raises(FileNotFoundError, match=wanted):
        Run(cell, cell.folder(tmp_path))
    first = plan(table("glue-table1"), "embedded", TEXTS | {"lr": 0.1}).cells(["Random"], [0])[0]
    with pytest.raises(Stopped):
        run_cell(first, first.folder(tmp_path), stop_at(3))
    with pytest.raises(FileNotFoundError, match=wanted):
        Run(cell, cell.folder(tmp_path))
    run_cell(first, first.folder(tmp_path))
    with pytest.raises(ValueError, match=r"another protocol .*lr: 0\.1 there, 0\.0005 here"):
        Run(cell, cell.folder(tmp_path))
    other = Cell(cell.env, "uniform", 0, cell.options, "Random", log_of="Random")
    with pytest.raises(ValueError, match="`log_of` needs an agent with `fit`"):
        Run(other, tmp_path / "a" / "b")


def test_published_figures_stand_beside_the_paper_s_protocol_alone():
    preset = table("glue-table1")
    result = {"env": preset.env, "data": "real", "label": "Random"}
    own = preset.options_of(preset.rows[0], real=True)
    assert preset.published([{**result, "options": own}])["Random"] == {"score": 79.1}
    for changed, shown in (({"device": "cuda"}, True), ({"steps": 100}, False)):
        found = preset.published([{**result, "options": own | changed}])
        assert bool(found) == shown


def test_a_row_learns_from_a_row_that_does_not():
    rows = [PublishedRow("A", "uniform"), PublishedRow("B", "counterfactual", log_of="A")]
    TablePreset("x", "x", "MTL-GLUE-v0", "MTL-TextMix-v0", rows)
    for wrong in ("B", "C"):
        rows[1] = PublishedRow("B", "counterfactual", log_of=wrong)
        with pytest.raises(ValueError, match=rf"`log_of` of row 'B' must be one of.*not '{wrong}'"):
            TablePreset("x", "x", "MTL-GLUE-v0", "MTL-TextMix-v0", rows)


def test_every_figure_file_is_a_preset_of_known_agents():
    names = {path.name for path in (files("mtlgym.envs_config") / "figures").iterdir()}
    assert {each.file for each in figures().values()} == names
    for name in figures():
        figure(name).check()
    with pytest.raises(ValueError, match="Did you mean 'bandit-figure1'"):
        figure("bandit-figure2")
    with pytest.raises(ValueError, match="row of bandit-figure1"):
        figure("bandit-figure1", ["Oracel"])
    with pytest.raises(ValueError, match="`oracles`"):
        figure("bandit-figure1", oracles=0)


def test_the_figure_is_written_and_orders_the_policies(tmp_path, capsys):
    rows = ["Oracle", "Counterfactual", "Exp3.S", "Random", "Resting"]
    arguments = ["--seeds", "0", "1", "2", "--set", "steps=2000", "oracles=2"]
    command = ["bench", "--preset", "bandit-figure1", "--rows", *rows, *arguments]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "gap closed" in capsys.readouterr().out
    folder = tmp_path / "MTL-Bandit-v0" / "bandit-figure1"
    for name in ("scores.png", "regret.png", "pulls.png"):
        assert (folder / name).stat().st_size > 1000
    results = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert len(results) == 5 * 2 * 3
    finals = {
        label: np.median([r["score"] for r in results if r["label"] == label]) for label in rows
    }
    assert finals["Oracle"] > finals["Random"]
    assert finals["Resting"] > finals["Random"]
    assert finals["Counterfactual"] > max(finals["Random"], finals["Exp3.S"])
    assert all(sum(r["pulls"]) == pytest.approx(1) for r in results)


def test_the_gap_is_closed_from_uniform_to_the_oracle():
    finals = {"uniform": [[0.5, 0.6, 0.7]], "oracle": [[0.8, 0.8, 0.8]], "exp3s": [[0.7, 0.9, 0.3]]}
    policies = [
        bandit_figure.PolicyCurves(
            name,
            name,
            np.array([0, 10]),
            np.array([final, final]),
            np.zeros((2, 1, 3)),
            np.ones((1, 3, 2)),
        )
        for name, final in finals.items()
    ]
    lines = {line[0]: line for line in bandit_figure.lines(policies)}
    assert lines["exp3s"][1:5] == ["0.7000", "0.7000", "0.7000", "0.50"]
    assert lines["oracle"][4] == "1.00"
    assert bandit_figure.lines(policies[:1])[0][4:] == ["-", "-"]


def test_decisions_can_be_evaluated_after_the_run(tmp_path):
    run_cell(Cell("MTL-Bandit-v0", "uniform", 0, BANDIT), tmp_path)
    with OffPolicyLog.open(tmp_path / DECISIONS) as log:
        assert log.header.tasks == ("arm0", "arm1", "arm2")
        assert log.header.policy == "UniformRandom"
        assert len(log) == 40


def test_task_size_decides_from_the_sizes_and_logs_it(tmp_path):
    cell = Cell("MTL-TextMix-v0", "task_size", 0, TEXTS | {"steps": 12})
    result = run_cell(cell, tmp_path)
    assert result["probabilities"] == pytest.approx([1 / 3, 2 / 3])
    found = read(tmp_path / DECISIONS)
    assert len(found) == 12
    assert found.propensities == pytest.approx(np.where(found.actions == 0, 1 / 3, 2 / 3))


def test_agents_that_weigh_tasks_log_no_decisions(tmp_path):
    options = {"dim": 4, "edge_hidden": 2, "steps": 2, "batch_size": 8}
    result = run_cell(Cell("MTL-QM9-Mini-v0", "uniform", 0, options), tmp_path)
    assert "probabilities" not in result
    assert not (tmp_path / DECISIONS).exists()


def test_rows_that_learn_from_others_run_after_them():
    cells = [Cell("x", "a", 0, label=name, log_of=log) for name, log in (("A", "B"), ("B", ""))]
    places = [(cell, Path(cell.label)) for cell in cells]
    assert waves(places) == [[1], [0]]
    assert waves(places[:1]) == [[0], []]  # that of B is there already


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--set", "reward=prediction_gain"], "`reward` must be 'improvement' for agent"),
        (["--set", "oracle=[1]"], "`oracle` is drawn in a figure"),
        (["--set", "oracles=0"], "`oracles` must be an integer of at least 1"),
        (["--data", "real"], "`--data` does not go with a figure"),
        (["--rows", "Randm"], "Did you mean 'Random'"),
    ],
)
def test_what_makes_no_figure_is_refused(extra, message, tmp_path, capsys):
    assert main(["bench", "--preset", "bandit-figure1", "--out", str(tmp_path), *extra]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_a_figure_keeps_its_runs_and_those_of_other_settings(tmp_path):
    command = ["bench", "--preset", "bandit-figure1", "--rows", "Random", "--out", str(tmp_path)]
    options = ["--seeds", "0", "--set", "oracles=1"]

    def results():
        return {path: path.read_bytes() for path in tmp_path.rglob(RESULT)}

    assert main([*command, *options, "steps=20"]) == 0
    before = results()
    assert main([*command, *options, "steps=30"]) == 0
    assert len(results()) == 2
    assert before.items() <= results().items()
    assert main([*command, *options, "steps=20"]) == 0  # finished: `seconds` are those of before
    assert before.items() <= results().items()
    lines = (tmp_path / "MTL-Bandit-v0" / "bandit-figure1" / "results.jsonl").read_text()
    assert json.loads(lines)["steps"] == 20


def chosen_cells(*labels, steps=40):
    preset = figure("bandit-figure1", labels, oracles=2)
    return figure_cells(preset, (3, 4), {"steps": steps, "arms": 3})


@pytest.mark.parametrize(("label", "stops"), [("Exp3.S", (17, 12)), ("Counterfactual", (55, 50))])
def test_a_policy_of_a_figure_that_was_stopped_ends_as_one_that_was_not(label, stops, tmp_path):
    (cell,) = chosen_cells(label)
    whole = run_cell(cell, tmp_path / "whole")
    for steps in stops:
        with pytest.raises(Stopped):
            run_cell(cell, tmp_path / "cut", stop_at(steps), checkpoint_every=10)
    again = run_cell(cell, tmp_path / "cut", checkpoint_every=10)
    assert {**whole, "seconds": 0} == {**again, "seconds": 0}
    assert (tmp_path / "whole" / LOG).read_bytes() == (tmp_path / "cut" / LOG).read_bytes()
    assert [(each["oracle"], each["seed"]) for each in whole["bandits_results"]] == [
        (0, 3),
        (0, 4),
        (1, 3),
        (1, 4),
    ]
    assert whole["kind"] == "bandits"


def test_a_figure_s_bandits_are_those_of_the_single_environment(tmp_path):
    (cell,) = chosen_cells("Oracle")
    result = run_cell(cell, tmp_path)
    for k, distribution in enumerate(result["distributions"]):
        env: Any = gym.make("MTL-Bandit-v0", arms=3, steps=40).unwrapped
        env.reset(seed=1000 + k)
        assert np.array_equal(distribution, env.oracle)
    scores = [each["score"] for each in result["bandits_results"]]
    assert result["test"]["score"] == pytest.approx(np.mean(scores))
    last = jsonl.read(tmp_path / LOG)[-1]
    assert last["mean_scores"] == scores
    assert last["gained"] == [each["gained"] for each in result["bandits_results"]]


def test_a_figure_in_processes_is_that_of_one_process(tmp_path):
    command = ["bench", "--preset", "bandit-figure1", "--rows", "Random", "Exp3.S", "--seeds", "0"]
    options = ["--set", "oracles=2", "steps=30"]
    for name, jobs in (("one", "1"), ("two", "2")):
        assert main([*command, "--jobs", jobs, "--out", str(tmp_path / name), *options]) == 0
    one, two = (tmp_path / name / "MTL-Bandit-v0" / "bandit-figure1" for name in ("one", "two"))
    for name in ("results.jsonl", "table.md", "scores.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_vectors_of_bandits_are_swept(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'agents = ["uniform", "exp3s"]\n[[envs]]\nid = "MTL-Bandit-v0"\n'
        "bandits = { oracles = 2, seeds = [0, 1] }\ngrid = { steps = [20, 30] }\n"
    )
    cells = sweep.read(grid)
    assert len({cell.folder(tmp_path) for cell in cells}) == 4
    assert main(["sweep", str(grid), "--out", str(tmp_path / "runs")]) == 0
    assert len(list((tmp_path / "runs").rglob(RESULT))) == 4
    for wrong, message in (
        ("bandits = { oracles = 2 }", "`bandits` must have `oracles` and a list `seeds`"),
        ("bandits = { oracles = 0, seeds = [0] }", "`oracles` must be an integer of at least 1"),
        ("bandits = 3", "`bandits` must be a table"),
    ):
        grid.write_text(f'agents = ["uniform"]\n[[envs]]\nid = "MTL-Bandit-v0"\n{wrong}\n')
        with pytest.raises(ValueError, match=message):
            sweep.read(grid)
    with pytest.raises(ValueError, match="`bandits` goes with environments of bandits"):
        Cell("MTL-QM9-Mini-v0", "uniform", 0, bandits={"oracles": 1, "seeds": [0]})


@pytest.mark.parametrize("agent", ["igbv2", "equal", "nash"])
def test_agents_that_weigh_tasks_are_refused_on_the_bandit(agent, tmp_path, capsys):
    command = ["train", "--env", "MTL-Bandit-v0", "--agent", agent, "--out", str(tmp_path)]
    assert main(command) == 1
    assert "weighs tasks, but MTL-Bandit-v0 takes the choice of one" in capsys.readouterr().err


def test_a_policy_that_could_not_improve_says_so(tmp_path):
    cell = Cell("MTL-Bandit-v0", "counterfactual", 0, {"steps": 2})
    with pytest.warns(UserWarning, match="did not make all its improvements"):
        result = run_cell(cell, tmp_path)
    assert result["improvements"] == 0


def test_a_bandit_s_result_adds_up_what_was_gained(tmp_path):
    cell = Cell("MTL-Bandit-v0", "exp3s", 0, {"steps": 30})
    with pytest.raises(Stopped):
        run_cell(cell, tmp_path, stop_at(17), checkpoint_every=10)
    result = run_cell(cell, tmp_path, checkpoint_every=10)
    rewards = [row["reward"] for row in jsonl.read(tmp_path / LOG)]
    assert result["gained"] == pytest.approx(sum(rewards))  # its reward is the gain


def test_each_bandit_of_a_figure_is_a_run_on_the_page(tmp_path):
    command = ["bench", "--preset", "bandit-figure1", "--rows", "Oracle", "Random"]
    options = ["--seeds", "0", "1", "--set", "oracles=2", "steps=50"]
    assert main([*command, "--out", str(tmp_path / "runs"), *options]) == 0
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "runs.csv").read_text().splitlines()
    rows = list(csv.DictReader(text))
    assert [row["name"] for row in rows] == ["Random"] * 4 + ["Oracle"] * 4
    (section,) = group_runs(read_finished(tmp_path / "runs"))
    assert section.kind == "bandit"
    assert section.repeated == 0
    behind = regrets(section)
    assert behind["Oracle"] == [0.0] * 4
    lines = (tmp_path / "runs" / "MTL-Bandit-v0" / "bandit-figure1" / "results.jsonl").read_text()
    scores = {
        (r["label"], r["oracle"], r["seed"]): r["score"]
        for r in map(json.loads, lines.splitlines())
    }
    for name, runs in section.agents.items():
        for run in runs:
            score = scores[name, run.result["oracle"], run.seed]
            assert run.result["test"]["score"] == score
            assert run.log()[-1]["score"] == 1 - score
            assert run.log()[-1]["gained"] == run.result["gained"]
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("MTL-Bandit-v0, synthetic data") >= 1
