"""Runs, tables and pictures of routing."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from mtlgym import agents
from mtlgym.bench.bench import bench_table
from mtlgym.bench.plan import plan
from mtlgym.bench.runs.cell import LOG, RESULT, Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT
from mtlgym.bench.runs.factory import make
from mtlgym.bench.runs.run import run_cell
from mtlgym.cli.main import main
from mtlgym.io import checkpoint, jsonl
from mtlgym.presets.published import table, tables
from mtlgym.report.plots import routing
from tests.bench import routing_toys
from tests.envs.routing import toy_images

ENV = "MTL-Emoji-Routing-v0"
TASKS, DEPTH, UPDATES = 4, 3, 12
TINY: dict[str, Any] = {**toy_images.SMALL, "tasks": TASKS, "batch_size": 24, "epochs": 2}
SET = ["--set", "filters=4", "width=4", "tasks=4", "batch_size=24", "epochs=2"]
RHO = [f"routing-all-fc, WPL, rho = {rho}" for rho in (0.0, 0.3)]
FIRST = [f"routing-all-fc, WPL, n = {n}" for n in (2, 3)]
ROUTERS = [name for name, entry in agents.AGENTS.items() if "blocks" in entry.decides]
PRESETS = [name for name in tables() if name.startswith("routing-")]


@pytest.fixture
def toy(monkeypatch):
    routing_toys.stand_in(monkeypatch)


def by_hand(agent, **options):
    """Losses (samples of a task at a time) and policies of a run, by a loop of one's own."""
    made = {**TINY, **options}
    env: Any = gym.make_vec(
        ENV, made["batch_size"], autoreset_mode=AutoresetMode.SAME_STEP, **made
    ).unwrapped
    who: Any = agents.make(agent, env.observation_space, env.action_space, 0)
    losses: list[list[float]] = [[] for _ in range(TASKS)]
    policies = []
    observation, info = env.reset(seed=0)
    for _ in range(UPDATES):
        for _ in range(DEPTH):
            action = who.act(observation, info)
            after, reward, *ends, info = env.step(action)
            who.learn(observation, action, reward, after, *ends, info)
            observation = after
        for task, loss in zip(info["final_info"]["task"], info["final_info"]["loss"], strict=True):
            losses[task].append(loss)
        policies.append(who.policy[:, 0])
    return env, who, losses, np.array(policies)


def test_a_run_says_what_a_loop_of_one_s_own_finds(toy, tmp_path):
    result = run_cell(Cell(ENV, "wpl", 0, TINY), tmp_path)
    env, who, losses, policies = by_hand("wpl", epochs=2)
    found = env.evaluate("test", who.greedy)
    rows = jsonl.read(tmp_path / LOG)
    assert result["test"] == {
        "score": pytest.approx(100 * np.mean(list(found.values()))),
        **{key: pytest.approx(100 * value) for key, value in found.items()},
    }
    assert (result["steps"], result["failure"]) == (UPDATES * DEPTH, "")
    assert (result["architecture"], result["rho"], result["epochs"]) == ("routing-all-fc", 0.0, 2)
    assert np.shape(result["routes"]) == (TASKS, DEPTH, TASKS)
    np.testing.assert_allclose(np.sum(result["routes"], axis=2), 1.0)
    np.testing.assert_allclose(result["policies"], policies, atol=5.1e-5)
    assert [row["epoch"] for row in rows] == [0, 1]
    sums = [sum(row["losses"][t] * row["weights"][t] for row in rows) for t in range(TASKS)]
    wanted = [sum(each) for each in losses]  # an epoch's weight is its share of the samples
    np.testing.assert_allclose(np.multiply(sums, UPDATES / 2 * 24), wanted, rtol=1e-6)
    validation = env.evaluate("val", who.greedy)
    assert rows[-1]["validation"] == validation
    assert rows[-1]["score"] == pytest.approx(1 - np.mean(list(validation.values())))


def test_policies_are_kept_of_the_first_hundred_samples_a_task(toy, tmp_path):
    cell = Cell(ENV, "wpl", 0, TINY | {"epochs": 3, "tasks": 3})
    assert np.shape(run_cell(cell, tmp_path / "young")["policies"]) == (13, 3, 3)  # 312 samples
    cell = Cell(ENV, "uniform", 0, TINY)
    assert "policies" not in run_cell(cell, tmp_path / "none")


@pytest.mark.parametrize("agent", ["wpl", "wpl:dispatch=learned", "reinforce", "uniform"])
@pytest.mark.parametrize("stop", [8, 23])
def test_a_run_that_was_killed_ends_as_one_that_was_not(agent, stop, toy, tmp_path):
    def kill(run):
        if run.step == stop:
            raise KeyboardInterrupt

    cell = Cell(ENV, agent, 0, TINY | {"rho": 0.3})
    whole = run_cell(cell, tmp_path / "whole", checkpoint_every=7)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell, tmp_path / "killed", kill, checkpoint_every=7)
    assert not (tmp_path / "killed" / RESULT).exists()
    resumed = run_cell(cell, tmp_path / "killed", checkpoint_every=7)
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}
    assert (tmp_path / "killed" / LOG).read_bytes() == (tmp_path / "whole" / LOG).read_bytes()
    ends = [checkpoint.load(tmp_path / name / CHECKPOINT) for name in ("whole", "killed")]
    one, other = (end["env"]["state"]["router"]["training"]["model"] for end in ends)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("agent", ROUTERS)
def test_agents_that_route_are_made_and_others_refused(agent, toy):
    env, made, _ = make(Cell(ENV, agent, 0, TINY))
    observation, info = env.reset(seed=0)
    assert made.act(observation, info) in env.action_space


@pytest.mark.parametrize("agent", [*sorted(set(agents.AGENTS) - set(ROUTERS)), "igbv1", "nash"])
def test_agents_that_route_no_samples_are_refused(agent):
    with pytest.raises(ValueError, match=r"routes no samples, .*: actor_critic, .*, wpl$"):
        make(Cell(ENV, agent, 0))


@pytest.mark.parametrize(
    ("env", "agent", "message"),
    [
        (ENV, "exp3s", "`agent` 'exp3s' routes no samples"),
        (ENV, "wlp", "Did you mean 'wpl'"),
        ("MTL-Bandit-v0", "wpl", "WPL keeps tables"),
    ],
)
def test_a_wrong_pair_is_one_line_and_exit_code_1(env, agent, message, tmp_path, capsys):
    assert main(["train", "--env", env, "--agent", agent, "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", PRESETS)
def test_rows_of_all_presets_have_folders_of_their_own_or_are_the_same(name, tmp_path):
    folders: dict[Any, Cell] = {}
    for each in [name, *PRESETS]:
        for cell in plan(table(each), "embedded").cells(seeds=(0,)):
            assert folders.setdefault(cell.folder(tmp_path), cell) == cell


def test_rows_that_the_stand_in_cannot_give_are_for_the_real_data():
    chosen = table("routing-first-n")
    assert len(plan(chosen, "embedded").cells(seeds=(0,))) == 12
    with pytest.raises(ValueError, match=r"row of routing-first-n 'task-specific-1-fc, n = 10'"):
        plan(chosen, "embedded").cells(["task-specific-1-fc, n = 10"])
    assert len(chosen.rows) == 16


@pytest.mark.parametrize(
    ("name", "labels", "pictures"),
    [
        ("routing-architectures", (), {"policies", "routes"}),
        ("routing-mnist", ["shared"], set()),
        ("routing-rho", RHO, {"policies", "routes", "rho-sweep"}),
        ("routing-first-n", FIRST, {"policies", "routes", "first-n", "cost"}),
        ("routing-policies", (), {"policies", "routes"}),
    ],
)
def test_a_preset_is_run_and_its_pictures_are_drawn(name, labels, pictures, toy, tmp_path):
    options = {**toy_images.SMALL, "epochs": 1}
    options["batch_size"] = 10 if name == "routing-policies" else 48
    if name != "routing-first-n":
        options["tasks"] = 3
    chosen = plan(table(name), "embedded", options)
    results = bench_table(chosen, chosen.cells(labels, (0,)), tmp_path)
    wanted = labels or [row.label for row in chosen.rows]
    assert [each["label"] for each in results] == wanted
    assert not any(each["failure"] for each in results)
    folder = chosen.folder(tmp_path)
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn == {"learning-curves", "accuracy-curves", *pictures}
    written = (folder / "table.md").read_text()
    assert "| method | seeds | score [%] | task0/accuracy [%] |" in written
    assert "Δm" not in written
    assert "| T" not in written
    assert "published figures, which" not in chosen.describe()


def result(**told):
    return {
        "env": ENV,
        "agent": "wpl",
        "seed": 0,
        "label": "",
        "tasks": ["a", "b"],
        "architecture": "routing-all-fc",
        "rho": 0.0,
        "epochs": 4,
        "batch_size": 10,
        "routes": [[[1, 0, 0], [0, 0.5, 0.5]], [[0, 1, 0], [0, 0, 1]]],
        "test": {"score": 50.0},
        "seconds": 16.0,
        **told,
    }


def test_a_sweep_is_a_line_an_architecture_and_agent_over_the_seeds():
    rho, first, cost = routing.SWEEPS
    static = {"architecture": "shared", "agent": "uniform", "routes": [[[1.0]]]}
    results = [
        result(rho=0.5, test={"score": 40.0}),
        result(test={"score": 50.0}),
        result(test={"score": 60.0}),
        result(test={"score": None}),
        result(tasks=["a"], seconds=2.0, **static),
    ]
    assert routing.lines(results, rho) == {
        "routing-all-fc, wpl": {0.5: [40.0], 0.0: [50.0, 60.0]},
        "shared": {0.0: [50.0]},
    }
    assert set(routing.lines(results, first)["shared"]) == {1}
    assert routing.lines(results, cost) == {
        "routing-all-fc, wpl": {2: [2.0] * 4},
        "shared": {1: [0.5]},
    }
    axes = routing.sweep(routing.lines(results, rho), rho).axes[0]
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[0.0, 55.0], [0.5, 40.0]]


def test_the_routing_map_shows_depths_down_and_tasks_across():
    figure = routing.routing_maps({"one": result(), "other": result()})
    assert [axes.get_title() for axes in figure.axes] == [
        "one: 3 actions a task",
        "other: 3 actions a task",
    ]
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.tolist() == [[1, 0, 0, 0, 1, 0], [0, 0.5, 0.5, 0, 0, 1]]
    ticks = figure.axes[0].get_xticks().tolist(), figure.axes[0].get_xticklabels()
    assert ticks[0] == [1.0, 4.0]
    assert [label.get_text() for label in ticks[1]] == ["a", "b"]


def test_policies_are_drawn_by_block_and_by_agent():
    found = np.random.default_rng(0).dirichlet(np.ones(9), (5, 2))  # (updates, agents, blocks)
    axes = routing.policies("one", result(policies=found.tolist())).axes
    assert axes[0].get_title() == "block 7, all agents"
    np.testing.assert_array_equal(axes[0].lines[1].get_ydata(), found[:, 1, 7])
    np.testing.assert_array_equal(axes[2].lines[4].get_ydata(), found[:, 1, 4])
    assert np.asarray(axes[2].lines[4].get_xdata()).tolist() == [10, 20, 30, 40, 50]


def test_the_commands_work_on_a_routing_id(toy, tmp_path, capsys):
    arguments = ["--out", str(tmp_path), *SET]
    assert main(["train", "--env", ENV, "--agent", "wpl", *arguments]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["data"] == "embedded"
    routers = ["wpl", "q_learning:representation=network"]
    assert main(["bench", "--env", ENV, "--agents", *routers, *arguments]) == 0
    shown = capsys.readouterr().out
    assert "score [%]" in shown
    assert "T ↓" not in shown
    assert (tmp_path / ENV / "routes.png").exists()
    assert main(["check", "--env", ENV, *SET]) == 0
    assert capsys.readouterr().out.count("passed") == 4
