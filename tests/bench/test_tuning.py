"""Tuning: equal budgets, validation data alone, and files that a bench takes."""

import json
import math

import optuna
import pytest

from mtlgym import agents
from mtlgym.agents import AGENTS
from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.bench import tuning
from mtlgym.bench import tuning as tuned
from mtlgym.bench.runs.cell import RESULT, Cell
from mtlgym.bench.runs.results import read_finished
from mtlgym.bench.search_spaces import SETTINGS, Range, Space
from mtlgym.cli.main import main
from mtlgym.io import checked_json

QM9, BANDIT = "MTL-QM9-Mini-v0", "MTL-Bandit-v0"
TINY = {"batch_size": 1000, "epochs": 1, "dim": 4, "edge_hidden": 2}
NAMES = [*SETTINGS, "fixed", "equal"]


def tune(env, specs, trials, seeds, out, options):
    return tuning.tune(tuning.Search(env, trials, seeds, options), specs, out)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_searched_makes_an_agent_or_a_method(name):
    """Every range's ends and the defaults are settings that the agent's spec takes."""
    space = Space(name, tasks=3)
    assert name in {**AGENTS, **LOSS_METHODS, **GRADIENT_METHODS}
    assert set(space.start()) == set(space.ranges)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        drawn = space.suggest(study.ask())
        assert agents.environment_options(space.agent(drawn)) is not None
    assert agents.environment_options(space.agent(drawn | space.start())) is not None


def test_settings_that_the_spec_names_are_not_searched():
    assert set(Space("dwa:window=25+cagrad", 2).ranges) == {"dwa.temperature", "cagrad.c"}
    chosen = {"dwa.temperature": 1.5, "cagrad.c": 0.25}
    assert Space("dwa:window=25+cagrad", 2).agent(chosen) == (
        "dwa:window=25,temperature=1.5+cagrad:c=0.25"
    )
    assert Space("fixed:weights=[1,2]", 2).ranges == {}
    spec = Space("fixed", 2).agent({"fixed.0": 0.0, "fixed.1": math.log(3)})
    assert spec == "fixed:weights=[0.5, 1.5]"


def test_the_first_trial_is_the_published_settings_and_the_best_by_validation_is_taken(tmp_path):
    lr = Range(1e-4, 1e-2)
    assert Space("igbv2", 2, {"lr": lr}, {"lr": 1e-3}).start() == {
        "lr": 1e-3,
        "igbv2.learning_rate": 3e-4,
        "igbv2.temperature": 0.2,
        "igbv2.update_every": 50,
        "igbv2.gamma": 0.99,
    }
    path = tune(QM9, ["equal", "fixed"], 3, (5,), tmp_path, TINY)
    found = checked_json.read(path)
    assert {spec: len(each["tried"]) for spec, each in found["methods"].items()} == {
        "equal": 3,
        "fixed": 3,
    }
    for each in found["methods"].values():
        scores = [trial["score"] for trial in each["tried"]]
        assert each["score"] == min(scores)
        assert len(set(scores)) > 1
    trials = [checked_json.read(p) for p in tmp_path.glob(f"tuning/{QM9}/cells/*/{RESULT}")]
    assert trials
    assert all("test" not in each and each["val"] for each in trials)  # the test split is not read
    assert read_finished(tmp_path) == []
    best = min(each["best_validation_score"] for each in trials)
    assert best == min(each["score"] for each in found["methods"].values())


def test_a_search_that_is_cut_short_goes_on_to_the_same_choice(tmp_path, monkeypatch):
    options = {"steps": 30}
    whole = tune(BANDIT, ["exp3s", "ucb1"], 6, (5, 6), tmp_path / "a", options)
    ran, run_cells = [], tuning.run_cells

    def stop(places, how):
        ran.append(len(places))
        if len(ran) == 3:
            raise KeyboardInterrupt
        return run_cells(places, how)

    monkeypatch.setattr(tuning, "run_cells", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(BANDIT, ["exp3s", "ucb1"], 6, (5, 6), tmp_path / "b", options)
    monkeypatch.undo()
    again = tune(BANDIT, ["exp3s", "ucb1"], 6, (5, 6), tmp_path / "b", options)
    assert checked_json.read(again) == checked_json.read(whole)
    assert ran == [8, 4, 8]


def test_a_bench_takes_what_was_tuned_and_its_results_say_so(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    arguments = ["tune", "--env", BANDIT, "--agents", "exp3s", "uniform", "--trials", "4", *out]
    assert main([*arguments, "--set", "steps=30"]) == 0
    path = tmp_path / "tuned" / f"{BANDIT}.json"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    bench = ["bench", "--env", BANDIT, "--tuned", str(path), "--seeds", "0", "1", *out]
    assert main(bench) == 0
    runs = read_finished(tmp_path)
    assert [run.name for run in runs] == ["exp3s (tuned)"] * 2 + ["uniform (tuned)"] * 2
    said = runs[0].result["tuned"]
    assert (said["agent"], said["trials"], said["by"]) == ("exp3s", 4, "validation")
    assert set(said["settings"]) == {"exp3s.eta", "exp3s.epsilon"}
    assert runs[0].result["options"] == {"steps": 30}
    with pytest.raises(ValueError, match="unknown tuned agent"):
        tuned.cells(path, BANDIT, ["exp3"], (0,))
    with pytest.raises(ValueError, match="not of 'MTL-Rooms-v0'"):
        tuned.cells(path, "MTL-Rooms-v0", (), (0,))
    assert main([*bench, "--set", "steps=3"]) == 1
    raw = path.read_bytes()
    path.write_bytes(raw[:50] + bytes([raw[50] ^ 1]) + raw[51:])
    with pytest.raises(ValueError, match="is damaged"):
        tuned.cells(path, BANDIT, (), (0,))


def test_a_combination_starts_from_the_rate_published_for_it():
    assert Space("igbv2+nash", 2).start()["igbv2.learning_rate"] == 1e-4
    assert Space("igbv2", 2).start()["igbv2.learning_rate"] == 3e-4


def test_the_least_weight_decay_is_none():
    decay = {"weight_decay": Range(1e-7, 0.1)}
    space = Space("equal", 2, decay, {"weight_decay": 1e-7})
    assert space.options(space.start()) == {"weight_decay": 0.0}
    assert space.options({"weight_decay": 1e-3}) == {"weight_decay": 1e-3}


def test_another_search_does_not_replace_what_was_chosen(tmp_path):
    tune(BANDIT, ["exp3s"], 2, (5,), tmp_path, {"steps": 10})
    path = tune(BANDIT, ["ucb1"], 2, (5,), tmp_path, {"steps": 10})
    assert set(checked_json.read(path)["methods"]) == {"exp3s", "ucb1"}
    with pytest.raises(ValueError, match="trials: 2 there, 3 here"):
        tune(BANDIT, ["exp3s"], 3, (5,), tmp_path, {"steps": 10})


def test_runs_that_are_too_short_to_validate_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="before it validated"):
        tune(QM9, ["equal"], 1, (5,), tmp_path, {**TINY, "steps": 2})


def test_a_broken_run_scores_worst():
    assert tuning.score({"failure": "the loss of mu is nan"}) == math.inf
    found = {"failure": "", "best_validation_score": None, "val": {"score": 3.0}}
    assert tuning.score({**found, "higher_is_better": {"score": True}}) == -3.0
    assert tuning.score({**found, "higher_is_better": {"score": False}}) == 3.0


def test_a_tuned_cell_is_another_than_an_untuned_one(tmp_path):
    plain = Cell(BANDIT, "exp3s", 0, {})
    by = Cell(BANDIT, "exp3s", 0, {}, tuned={"agent": "exp3s", "trials": 3})
    assert plain.folder(tmp_path) != by.folder(tmp_path)
    assert json.dumps(by.to_dict())


def test_a_search_that_breaks_down_throughout_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="every trial of 'equal' broke down"):
        tune(QM9, ["equal"], 1, (5,), tmp_path, {**TINY, "lr": 1e20})
    assert not list(tmp_path.glob("tuned/*.json"))


def test_a_file_of_another_kind_is_no_file_of_a_search(tmp_path):
    checked_json.write(tmp_path / "other.json", {"env": BANDIT, "methods": {}})
    with pytest.raises(ValueError, match=r"other\.json is no file of `mtlgym tune`"):
        tuned.cells(tmp_path / "other.json", BANDIT, (), (0,))
