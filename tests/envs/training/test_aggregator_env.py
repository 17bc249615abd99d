"""Gradient methods inside the environment, and how a training is computed."""

import shutil

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym import agents
from mtlgym.balancing import GRADIENT_METHODS, gradient_method
from mtlgym.balancing.jacobian.strategies import STRATEGIES
from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.test_failures import BadGradient, Faulty, check_end
from tests.envs.training.test_resume import finish
from tests.envs.training.toy import TASKS, Net, losses, make, rollout, same, toy

EXACT = [name for name, plan in STRATEGIES.items() if plan.exact]


def parameters(env):
    model = env.unwrapped.episode.learner.model
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(steps=4, **options):
    """The losses along a run of the same actions."""
    return torch.tensor(np.array([step[0] for step in rollout(make(**options), steps=steps)]))


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_gradient_method_trains_under_the_agents_weights(name, sources):
    plain = trained(sources=sources)
    balanced = trained(sources=sources, aggregator=name)
    assert torch.isfinite(balanced).all()
    assert not torch.equal(plain, balanced)
    assert torch.equal(balanced, trained(sources=sources, aggregator=name))


def test_one_step_is_algorithm_three():
    env = make(aggregator="mgda", actions="weights", transform="log")
    env.reset(seed=0)
    learner = env.episode.learner
    weights = torch.tensor([1.0, 2.0, 0.5])
    trunk = list(learner.model.trunk.parameters())
    _, values = learner._pending
    terms = weights * values.log()
    grads = [torch.autograd.grad(term, trunk, retain_graph=True) for term in terms]
    rows = torch.stack([torch.cat([g.flatten() for g in row]) for row in grads]).double()
    wanted = gradient_method("mgda")(rows @ rows.T) @ rows
    learner.update.backward(values, weights, joint=True)
    found = torch.cat([p.grad.flatten() for p in trunk])
    assert_close(found.double(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sources", [1, 3])
def test_every_strategy_trains_alike(sources):
    wanted = trained(sources=sources, aggregator="nash", jacobian="loop")
    for strategy in EXACT:
        found = trained(sources=sources, aggregator="nash", jacobian=strategy)
        assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    for strategy in ("auto", "features"):
        if sources == 1:
            assert torch.isfinite(trained(aggregator="nash", jacobian=strategy)).all()


def test_nash_does_not_see_the_agents_weights():
    """It divides every gradient by its norm, so the weights cancel in trunk and heads alike."""
    twins = []
    for action in ([1.0, 1.0, 1.0], [0.1, 5.0, 2.0]):
        env = make(aggregator="nash", actions="weights")
        env.reset(seed=0)
        twins.append([env.step(np.array(action))[0] for _ in range(4)])
    np.testing.assert_allclose(twins[0], twins[1], rtol=1e-4)


@pytest.mark.parametrize("name", [*GRADIENT_METHODS, "igbv2+nash"])
def test_a_method_is_an_agent_by_its_name(name):
    options = agents.environment_options(name)
    assert options["aggregator"] == name.rpartition("+")[2]
    env = make(**options)
    agent = agents.make(name, env.observation_space, env.action_space, seed=0)
    observation, info = env.reset(seed=0)
    for _ in range(3):
        observation, _, terminated, _, info = env.step(agent.act(observation, info))
        assert not terminated
    assert env.episode.learner.update.aggregation.method == gradient_method(options["aggregator"])


def test_specs_carry_settings_and_the_published_learning_rate():
    space = make(actions="weights")
    spaces = space.observation_space, space.action_space
    assert agents.make("igbv2", *spaces).learning_rate == 3e-4
    assert agents.make("igbv2+cagrad:c=0.4", *spaces).learning_rate == 3e-4
    assert agents.make("igbv2+nash", *spaces).learning_rate == 1e-4
    tuned = agents.make("igbv2:learning_rate=1e-3,buffer_size=50+nash", *spaces)
    assert (tuned.learning_rate, tuned.buffer_size) == (1e-3, 50)
    assert agents.environment_options("db_mtl")["transform"] == "log"
    assert agents.environment_options("igbv1+mgda")["transform"] == "log"
    assert agents.environment_options("dwa+mgda")["transform"] == "none"
    assert agents.environment_options("uniform+mgda")["aggregator"] == "mgda"


BAD_SPECS = [
    ("igbv2+nsah", "unknown gradient method 'nsah'. Did you mean 'nash'"),
    ("igbv2+nash+mgda", "at most one gradient method"),
    ("igbv2:buffer=3", "unknown setting of agent 'igbv2' 'buffer'. Did you mean 'buffer_size'"),
    ("igbv2:buffer_size=x", "setting `buffer_size` of agent 'igbv2' must be a JSON value"),
    ("nsah", "unknown agent 'nsah'. Did you mean 'nash'"),
]


@pytest.mark.parametrize(("spec", "message"), BAD_SPECS)
def test_a_spec_that_names_no_agent_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        agents.environment_options(spec)


RESUMED = [
    {"aggregator": "pcgrad"},
    {"aggregator": "db_mtl"},
    {"aggregator": "gradnorm", "jacobian": "layers"},
    {"aggregator": "graddrop", "jacobian": "heads_batched", "fused": True},
    {"aggregator": "nash", "max_norm": 0.5, "precision": "bfloat16"},
    {"fused": True},
]


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("options", RESUMED)
def test_a_continued_run_is_the_undisturbed_one(options, sources, tmp_path):
    whole, resumed = make(sources, **options), make(sources, **options)
    whole.action_space.seed(0)
    whole.reset(seed=2)
    for _ in range(5):
        whole.step(whole.action_space.sample())
    whole.save(tmp_path / "c")
    resumed.load(tmp_path / "c")
    for env in (whole, resumed):
        env.action_space.seed(1)
    assert same(finish(whole), finish(resumed))
    assert torch.equal(parameters(whole), parameters(resumed))


BAD_OPTIONS = [
    ({"aggregator": "nsah"}, "unknown gradient method 'nsah'. Did you mean 'nash'"),
    ({"aggregator": "nash", "interface": "tasks"}, "none of with `interface='tasks'`"),
    ({"jacobian": "lop"}, "unknown jacobian strategy 'lop'. Did you mean 'loop'"),
    ({"head_weighting": "half"}, "unknown `head_weighting` 'half'"),
    ({"max_norm": 0}, "`max_norm` must be a finite number above 0, not 0"),
    ({"precision": "float16"}, "unknown `precision` 'float16'. Did you mean 'bfloat16'"),
    ({"device": "cuda:99"}, "`device` must name a device that torch has here"),
    ({"device": "meta"}, "`device` must name a device that torch has here, not 'meta'"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_that_is_not_finite_stops_before_the_method_sees_it(fused):
    problem = toy(losses=BadGradient(0, after=1))
    env = TrainingEnv(problem, epochs=3, batch_size=10, aggregator="nash", fused=fused)
    env.reset(seed=0)
    env.step(np.zeros(3))
    before = parameters(env)
    step = env.step(np.zeros(3))
    check_end(step, env)
    assert step[4]["step"] == 1
    assert torch.equal(parameters(env), before)


def test_a_fused_step_with_a_bad_gradient_is_left_out_and_told_with_the_next_losses():
    env = TrainingEnv(toy(losses=BadGradient(0, after=1)), epochs=3, batch_size=10, fused=True)
    env.reset(seed=0)
    env.step(np.zeros(3))
    learner = env.episode.learner
    before, moments = parameters(env), repr(learner.update.state_dict())
    step = env.step(np.zeros(3))
    check_end(step, env)
    assert step[4]["step"] == learner.steps == 1
    assert torch.equal(parameters(env), before)
    assert repr(learner.update.state_dict()) == moments


def test_fused_and_plain_steps_agree_and_a_fused_failure_of_the_losses_is_told():
    assert_close(trained(fused=True), trained())
    env = TrainingEnv(
        toy(losses=Faulty(float("nan"), after=2)), epochs=3, batch_size=10, fused=True
    )
    env.reset(seed=0)
    env.step(np.zeros(3))
    check_end(env.step(np.zeros(3)), env)


def test_the_shared_gradient_is_clipped_and_no_other():
    norms = []
    for max_norm in (None, 1e-3):
        env = make(aggregator="mgda", max_norm=max_norm)
        env.reset(seed=0)
        env.step(np.zeros(3))
        model = env.episode.learner.model
        norms.append(
            [
                torch.stack([p.grad.norm() for p in part.parameters()]).norm()
                for part in (model.trunk, model.heads)
            ]
        )
    assert norms[0][0] > 1e-2
    assert float(norms[1][0]) == pytest.approx(1e-3, rel=1e-3)
    assert norms[1][1] == norms[0][1]


def test_half_precision_trains_nearly_alike_with_float32_losses():
    env = make(precision="bfloat16")
    env.reset(seed=0)
    assert env.episode.learner._pending[1].dtype is torch.float32
    assert_close(trained(precision="bfloat16"), trained(), rtol=0.1, atol=2e-2)


def test_the_graph_of_a_step_is_let_go():
    env = make(aggregator="nash")
    env.reset(seed=0)
    learner = env.episode.learner
    learner.train(torch.ones(3))
    assert not learner._pending[1].requires_grad
    assert learner.update._hooks.features is None


def test_evaluation_and_copies_are_not_disturbed_by_the_tap():
    env = make(aggregator="nash")
    env.reset(seed=0)
    first = env.evaluate()
    assert env.evaluate() == first
    env.step(np.zeros(3))
    assert set(env.evaluate("val", best=True)) == {f"{task}/mae" for task in TASKS}


class NoDropout(Net):
    """Compiled code draws other numbers."""

    def __init__(self):
        super().__init__()
        self.trunk[3] = torch.nn.Identity()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_compiled_model_trains_alike():
    def run(**options):
        env = TrainingEnv(toy(build=NoDropout), epochs=3, batch_size=10, **options)
        return torch.tensor(np.array([step[0] for step in rollout(env, steps=3)]))

    assert_close(run(compile=True), run(), rtol=1e-4, atol=1e-5)
    balanced = run(compile=True, aggregator="nash")
    assert_close(balanced, run(aggregator="nash"), rtol=1e-4, atol=1e-5)


def test_a_step_costs_one_forward_pass_whatever_the_strategy():
    for strategy in EXACT:
        calls: list[str] = []

        def counted(model, batch, calls=calls):
            calls.append("forward")
            return losses(model, batch)

        env = TrainingEnv(
            toy(losses=counted), epochs=2, batch_size=10, aggregator="nash", jacobian=strategy
        )
        env.reset(seed=0)
        calls.clear()
        env.step(np.zeros(3))
        assert len(calls) == 1
