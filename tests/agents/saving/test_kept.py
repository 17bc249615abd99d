"""An agent that is kept goes on in another process as if it had never been away."""

import subprocess

import numpy as np
import pytest

from mtlgym import agents
from mtlgym.agents.saving import kept
from tests import ROOT, module_command
from tests.agents.bandits.choices import play
from tests.agents.saving import kept_worker as worker
from tests.agents.saving.kept_worker import ROWS, SPECS
from tests.agents.weights.decay import Decay, Run, small
from tests.io.test_checkpoint import same


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What the agents did here after they were kept, and what they did in a child process."""
    folder, here = tmp_path_factory.mktemp("kept"), {}
    for index, spec in enumerate(SPECS):
        agent = worker.trained(spec)
        agents.save(folder / f"one-{index}", agent, spec=spec, seed=3)
        here[f"one-{index}"] = Run(agent, worker.world(spec)).go(20)
    for name in ROWS:
        agent = worker.rows(name)
        agents.save(folder / f"rows-{name}", agent, spec=name, seed=4)
        here[f"rows-{name}"] = play(agent, worker.MEANS, 20, seed=1)
    env = worker.qm9()
    observation, info = env.reset(seed=0)
    agent = agents.make(worker.QM9, env.observation_space, env.action_space, seed=1)
    _, observation, info = worker.go(agent, env, observation, info, 50)
    assert agent.gradient_steps > 0
    agents.save(folder / "qm9", agent, spec=worker.QM9, seed=1, env=env)
    env.unwrapped.save(folder / "env")
    here["qm9"] = worker.go(agent, env, observation, info, 15)[0]
    command = module_command(worker.__name__, folder)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return here, dict(np.load(folder / "found.npz"))


@pytest.mark.parametrize("index", range(len(SPECS)), ids=SPECS)
def test_kept_agent_goes_on_in_another_process_bit_for_bit(runs, index):
    here, there = (each[f"one-{index}"] for each in runs)
    np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("name", ROWS)
def test_kept_agent_of_a_vector_goes_on_in_another_process(runs, name):
    here, there = (each[f"rows-{name}"] for each in runs)
    np.testing.assert_array_equal(there, here)


def test_policy_learnt_on_molecules_goes_on_with_its_training_in_another_process(runs):
    here, there = (each["qm9"] for each in runs)
    assert here.shape == (15, 11)
    np.testing.assert_array_equal(there, here)


def test_kept_agent_says_what_it_is_and_where_it_learnt(tmp_path):
    env = worker.qm9()
    agent = agents.make("igbv2+nash", env.observation_space, env.action_space, seed=5)
    agents.save(tmp_path, agent, spec="igbv2+nash", seed=5, env=env)
    said = kept.read(tmp_path)
    assert (said["spec"], said["seed"]) == ("igbv2+nash", 5)
    assert said["action_space"]["high"] == "inf"
    assert said["environment"]["id"] == "MTL-QM9-Mini-v0"
    assert said["environment"]["options"]["dim"] == 4
    assert said["environment"]["tasks"] == list(env.unwrapped.problem.tasks)
    assert said["environment"]["weighing"] == {
        "observation": ["losses"],
        "actions": "weights",
        "scale": 2.0,
        "transform": "log",
    }
    loaded = agents.load(tmp_path)
    assert isinstance(loaded, agents.IGBv2)
    assert loaded.learning_rate == 1e-4  # of the spec with a gradient method
    assert loaded.action_space == env.action_space
    assert loaded.observation_space == env.observation_space


def test_agent_that_its_spec_or_seed_does_not_make_is_not_kept(tmp_path):
    env = Decay()
    igbv2, rlw = small(env), agents.make("rlw", env.observation_space, env.action_space, seed=1)
    for agent, spec, seed in (
        (igbv2, "igbv2", 0),  # other sizes
        (igbv2, "dwa", 0),
        (rlw, "rlw", 2),
        (rlw, "dwa", 1),
    ):
        with pytest.raises(ValueError, match="`spec`"):
            agents.save(tmp_path / "kept", agent, spec=spec, seed=seed)
    with pytest.raises(ValueError, match="Did you mean 'igbv2'"):
        agents.save(tmp_path / "kept", igbv2, spec="igbv3")
    assert not (tmp_path / "kept").exists()


def test_policy_fitted_to_a_log_is_kept_without_the_log(tmp_path):
    path = tmp_path / "log"
    with agents.OffPolicyLog.create(path, 3, tasks=["a", "b", "c"]) as log:
        for arm in range(3):
            log.write(arm, 1 / 3, float(arm))
    spec = f'counterfactual:log="{path}"'
    env = worker.world("counterfactual")
    agent = agents.make(spec, env.observation_space, env.action_space, seed=0)
    agents.save(tmp_path / "kept", agent, spec=spec, seed=0)
    path.unlink()
    loaded = agents.load(tmp_path / "kept")
    assert same(loaded.state_dict(), agent.state_dict())


@pytest.mark.parametrize("name", agents.AGENTS)
def test_state_with_something_missing_is_refused_and_changes_nothing(name):
    agent = worker.trained(f"igbv2:{worker.SMALL}" if name == "igbv2" else name)
    before = agent.state_dict()
    other = {**before, "more": 1}
    for state in ({}, other, *({k: v for k, v in before.items() if k != gone} for gone in before)):
        with pytest.raises(ValueError, match="`state`"):
            agent.load_state_dict(state)
    for key, part in before.items():
        if isinstance(part, dict) and part and key not in ("settings", "state"):
            with pytest.raises(ValueError, match=f"`state.*{key}"):
                agent.load_state_dict({**before, key: {}})
    assert same(agent.state_dict(), before)


def test_log_of_other_tasks_is_refused_by_name(tmp_path):
    with agents.OffPolicyLog.create(tmp_path / "log", 2, tasks=["a", "b"]) as log:
        for arm in range(2):
            log.write(arm, 0.5, 1.0)
    env, spec = worker.world("counterfactual"), f'counterfactual:log="{tmp_path}/log"'
    two = type(env)((0.5, 0.5))
    make = [spec, two.observation_space, two.action_space, 0]
    with pytest.raises(ValueError, match=r"of the tasks \('a', 'c'\), not of \('a', 'b'\)"):
        agents.make(*make, tasks=["a", "c"])
    assert agents.make(*make, tasks=["a", "b"]).probabilities.shape == (2,)
    assert agents.make(*make).probabilities.shape == (2,)


@pytest.mark.parametrize("name", ["action", "propensity", "reward"])
def test_decision_that_is_a_text_is_refused_by_name(name):
    from mtlgym.agents.off_policy.logged_sums import LoggedSums

    decision = {"action": 0, "propensity": 0.5, "reward": 1.0, name: "text"}
    with pytest.raises(ValueError, match=f"`{name}` must be a number.*'text'"):
        LoggedSums(2).add(**decision)


def test_state_from_before_says_more_of_the_start_and_is_taken():
    agent = worker.trained("counterfactual")
    state = agent.state_dict()
    older = {**state, "settings": {**state["settings"], "log": ["decisions.log"]}}
    other = worker.trained("counterfactual", seed=9)
    other.load_state_dict(older)
    assert same(other.state_dict(), state)
