"""A kept policy of task weights in a training loop of one's own."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

import mtlgym
from mtlgym import agents
from mtlgym.balancing import LOSS_METHODS
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.record import Record
from tests.agents.weights.decay import Decay, small
from tests.envs.training.toy import toy

STEPS = 24  # in the toy's episode
SPEC = "igbv2:update_epoch=2,use_epoch=6,update_every=2,updates=1,hidden=[8, 8]"
KNOWN = ("losses", "log_losses", "weights", "since_chosen", "progress")


def made(**options):
    return TrainingEnv(toy(), **({"epochs": 6, "batch_size": 10} | options))


def run(env, decide, learn=lambda *step: None):
    """Observations, losses and weights of each step of an episode, (steps, ...) each."""
    observation, info = env.reset(seed=0)
    seen, losses, weights = [], [], []
    for _ in range(STEPS):
        seen.append(observation)
        losses.append(info["losses"])
        action = decide(observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        learn(seen[-1], action, reward, observation, terminated, truncated, info)
        weights.append(info["weights"])
    return np.array(seen), np.array(losses), np.array(weights)


def learnt(env):
    agent = agents.make(SPEC, env.observation_space, env.action_space, seed=1)
    run(env, agent.act, agent.learn)
    assert agent.gradient_steps > 0
    return agent


def weighed(balancer, losses):
    """The balancer's weights for these losses, (steps, tasks)."""
    parameter = torch.ones(3, requires_grad=True)
    rows = torch.from_numpy(losses).float()
    return torch.stack([balancer.backward(parameter * row) for row in rows]).numpy()


class Picky:
    """Gives some tasks no weight, by the last digits of what it observes; remembers it."""

    def __init__(self, env):
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.seen = []

    def decide(self, observation, deterministic=False, chance=None):
        self.seen.append(observation)
        return (observation[:3] * 1e4 % 2 > 1).astype(np.float32) + np.eye(3, dtype=np.float32)[0]


@pytest.mark.parametrize("transform", ["log", "none"])
@pytest.mark.parametrize("observation", [("losses",), KNOWN])
@pytest.mark.parametrize("actions", ["weights", "logits"])
def test_weights_are_those_that_the_environment_gives_for_the_same_losses(
    tmp_path, observation, actions, transform
):
    env = made(observation=observation, actions=actions, scale=1.5, transform=transform)
    agent = learnt(env)
    agents.save(tmp_path, agent, spec=SPEC, seed=1, env=env)
    _, losses, expected = run(env, lambda seen, info: agent.decide(seen, deterministic=True))
    assert np.ptp(expected, axis=0).max() > 0  # it looks at what it observes
    for policy in ({"policy": tmp_path}, {"policy": agents.load(tmp_path), "env": env}):
        balancer = mtlgym.Balancer(agents.method(**policy, budget=STEPS))
        assert balancer.transform == transform
        np.testing.assert_array_equal(weighed(balancer, losses), expected.astype(np.float32))


def test_observations_are_those_of_the_environment_also_where_tasks_have_no_weight():
    env = made(observation=KNOWN, actions="weights")
    policy = Picky(env)
    seen, losses, expected = run(env, lambda seen, info: policy.decide(seen))
    assert (expected == 0).any()
    policy.seen = []
    weighed(mtlgym.Balancer(agents.method(policy, env=env, budget=STEPS)), losses)
    np.testing.assert_array_equal(policy.seen, seen)


def test_toy_model_is_trained_with_the_kept_policy(tmp_path):
    env = made(actions="weights")
    agents.save(tmp_path, learnt(env), spec=SPEC, seed=1, env=env)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    targets = torch.cat([x, 10 * x + 1, -3 * x], dim=1)
    with torch.random.fork_rng():
        model = torch.nn.Linear(1, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    balancer = mtlgym.Balancer(agents.method(tmp_path), shared=model, steps_per_epoch=10)
    means = []
    for _ in range(60):
        losses = (model(x) - targets).square().mean(dim=0)
        optimizer.zero_grad()
        weights = balancer.backward(losses)
        optimizer.step()
        means.append(losses.mean().item())
        assert weights.sum().item() == pytest.approx(3)
    assert means[-1] < means[0] / 4


def test_drawn_weights_follow_from_the_seed_and_the_step_and_are_resumed():
    env = made(actions="weights")
    agent, losses = learnt(env), np.random.default_rng(0).uniform(0.1, 2, (6, 3))
    before = agent.state_dict()["torch"]
    made_with = {"env": env, "deterministic": False}
    first = weighed(mtlgym.Balancer(agents.method(agent, seed=1, **made_with)), losses)
    balancer = mtlgym.Balancer(agents.method(agent, seed=1, **made_with))
    np.testing.assert_array_equal(weighed(balancer, losses[:3]), first[:3])
    again = mtlgym.Balancer(agents.method(agent, seed=1, **made_with))
    again.load_state_dict(balancer.state_dict())
    np.testing.assert_array_equal(weighed(again, losses[3:]), first[3:])
    other = weighed(mtlgym.Balancer(agents.method(agent, seed=2, **made_with)), losses)
    assert not np.array_equal(other, first)
    same = weighed(mtlgym.Balancer(agents.method(agent, seed=1, **made_with)), losses[[0, 0]])
    assert not np.array_equal(same[0], same[1])  # each step draws anew
    torch.testing.assert_close(agent.state_dict()["torch"], before, rtol=0, atol=0)


def test_another_number_of_tasks_is_refused_with_both_numbers_and_changes_nothing():
    env = made(actions="weights")
    balancer = mtlgym.Balancer(agents.method(learnt(env), env=env))
    with pytest.raises(ValueError, match="the policy's 3 tasks, not 4"):
        balancer.backward(torch.ones(4, requires_grad=True) * 2)
    assert balancer.state_dict()["step"] == 0


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({"observation": ("losses", "lr")}, {}, "observes 'lr', which a plain loop cannot give"),
        ({"observation": ("relative_losses",)}, {}, "observes 'relative_losses'"),
        ({"observation": ("progress",)}, {}, "observes 'progress': `budget` must be"),
        ({"observation": ("progress",)}, {"budget": 0}, "`budget` must be an integer of at least"),
        ({}, {"seed": -1}, "`seed` must be an integer"),
    ],
)
def test_what_a_plain_loop_cannot_give_is_refused_by_name(options, given, message):
    env = made(actions="weights", **options)
    with pytest.raises(ValueError, match=message):
        agents.method(learnt(env), env=env, **given)


def test_policy_without_its_environment_is_refused(tmp_path):
    env = made(actions="weights")
    agent = learnt(env)
    agents.save(tmp_path, agent, spec=SPEC, seed=1)
    choosing = made(interface="tasks")
    for policy, other in ((agent, None), (tmp_path, None), (agent, choosing), (agent, Decay())):
        with pytest.raises(ValueError, match="`env` must be the environment"):
            agents.method(policy, env=other)
    with pytest.raises(ValueError, match="`env` has the actions"):
        agents.method(agent, env=made())
    with pytest.raises(ValueError, match="`env` has the observations"):
        agents.method(agent, env=made(actions="weights", observation=("losses", "weights")))
    assert agents.method(tmp_path, env=env).transform == "log"


def test_agents_that_weigh_nothing_are_refused_by_name_with_what_to_do():
    env = made(actions="weights")
    exp3s = agents.Exp3S(spaces.Discrete(1), spaces.Discrete(3))
    with pytest.raises(ValueError, match=r"Exp3S chooses among tasks.*act\(observation, info\)"):
        agents.method(exp3s)
    uniform = agents.UniformRandom(env.observation_space, env.action_space)
    with pytest.raises(ValueError, match=r"UniformRandom has learnt no weights; Balancer\('rlw'\)"):
        agents.method(uniform, env=env)
    with pytest.raises(ValueError, match="IGBv2 has learnt nothing yet"):
        agents.method(small(Decay()), env=env)


def test_kept_balancing_method_is_the_method_itself(tmp_path):
    env = made(actions="weights")
    agent = agents.make("dwa:temperature=1.5", env.observation_space, env.action_space)
    agents.save(tmp_path, agent, spec="dwa:temperature=1.5")
    assert agents.method(tmp_path) == LOSS_METHODS["dwa"](temperature=1.5)


def test_weights_hold_for_the_objective_that_they_were_learnt_for():
    env = made(actions="weights")
    method = agents.method(learnt(env), env=env)
    with pytest.raises(ValueError, match="can only be 'log'"):
        mtlgym.Balancer(method, transform="none")
    assert "KeptMethod" in repr(mtlgym.Balancer(method))


def test_policy_decides_from_the_first_batch_on_and_at_any_epoch():
    agent = learnt(made(actions="weights"))
    losses = np.array([0.5, 1.0, 2.0], np.float32)
    first = agent.decide(losses, deterministic=True)
    np.testing.assert_array_equal(agent.decide(losses, deterministic=True), first)
    assert not np.array_equal(agent.decide(losses), first)
    method = agents.method(agent, env=made(actions="weights"))
    for epoch in (1, 9):
        record = Record(torch.from_numpy(losses), step=epoch, epoch=epoch)
        np.testing.assert_array_equal(method(record).float().numpy(), first)
