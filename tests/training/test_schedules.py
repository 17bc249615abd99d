"""Optimizers, learning-rate schedules and validation by steps."""

from typing import Any

import pytest
import torch

from mtlgym.envs.training.env import TrainingEnv
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS
from tests.envs.training.toy import toy


def make(**options) -> Any:
    return TrainingEnv(toy(), **options)


def rates(scheduler, steps):
    env = make(scheduler=scheduler, steps=steps, lr=0.5, validate_every=0)
    _, info = env.reset(seed=0)
    found = [info["lr"]]
    while env.is_open:
        info = env.step(env.action_space.sample())[4]
        found.append(info["lr"])
    return found


def test_the_linear_schedule_rises_over_a_tenth_and_falls_to_zero():
    found = rates("linear", 40)
    rise = [0.5 * (step + 1) / 4 for step in range(3)]
    fall = [0.5 * (40 - step) / 36 for step in range(4, 41)]
    assert found == pytest.approx([*rise, 0.5, *fall])
    assert found[-1] == 0.0


def test_the_linear_schedule_takes_the_shortest_budget():
    assert rates("linear", 1) == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("name", [n for n, each in SCHEDULERS.items() if not each.per_step])
def test_other_schedules_start_from_the_learning_rate(name):
    scheduler = SCHEDULERS[name].make(torch.optim.SGD([torch.zeros(1)], lr=0.5), 10)
    assert scheduler.optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_makes_its_published_first_step(name):
    matrix, bias = (torch.nn.Parameter(torch.full(shape, 2.0)) for shape in ((1, 1), (1,)))
    optimizer = OPTIMIZERS[name]([matrix, bias], 0.1, 0.5, None)
    matrix.grad, bias.grad = torch.full((1, 1), 3.0), torch.full((1,), 3.0)
    optimizer.step()
    decayed, plain = {
        "adam": (2 - 0.1, 2 - 0.1),  # the sign of the gradient, the penalty's included
        "adamw": (2 - 0.1 * 0.5 * 2 - 0.1, 2 - 0.1),  # biases do not decay
        "sgd": (2 - 0.1 * (3 + 0.5 * 2), 2 - 0.1 * (3 + 0.5 * 2)),
    }[name]
    assert matrix.item() == pytest.approx(decayed)
    assert bias.item() == pytest.approx(plain)


def validated(**options):
    env = make(steps=12, batch_size=10, **options)
    env.reset(seed=0)
    seen = [env.episode.learner.validation.score]
    while env.is_open:
        env.step(env.action_space.sample())
        seen.append(env.episode.learner.validation.score)
    return env, [step for step in range(1, 13) if seen[step] != seen[step - 1]]


def test_validation_by_steps_takes_the_place_of_that_by_epochs():
    assert validated(validate_steps=5)[1] == [5, 10]
    env, by_epoch = validated()
    assert by_epoch == list(range(env.episode.steps_per_epoch, 13, env.episode.steps_per_epoch))


def test_the_last_parameters_are_measured_where_the_best_are_not_kept():
    env, steps = validated(validate_steps=5, keep_best=False)
    assert steps
    assert env.evaluate("val", best=True) == env.evaluate("val")
    kept, _ = validated(validate_steps=5)
    best, last = kept.evaluate("val", best=True), kept.evaluate("val")
    assert best != last


def test_a_run_by_steps_goes_on_bit_for_bit(tmp_path):
    options: dict[str, Any] = {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "scheduler": "linear",
        "steps": 12,
    }
    options |= {"interface": "tasks", "validate_steps": 4}
    whole, half, again = (make(**options) for _ in range(3))
    whole.reset(seed=1)
    half.reset(seed=1)
    for env, steps in ((whole, 12), (half, 5)):
        for step in range(steps):
            env.step(step % 3)
    half.save(tmp_path / "state")
    again.load(tmp_path / "state")
    for step in range(5, 12):
        again.step(step % 3)
    models = [env.episode.learner.model.state_dict() for env in (whole, again)]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])
    assert whole.episode.learner.validation.score == again.episode.learner.validation.score


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamm"}, "Did you mean 'adam'"),
        ({"validate_steps": 0}, "`validate_steps`"),
        ({"scheduler": "plateau", "validate_steps": 5}, "`validate_steps`"),
    ],
)
def test_what_no_training_can_be_made_of_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingEnv(toy(), **options)


def test_choosers_are_told_sizes_and_improvements():
    env = make(interface="tasks", steps=6, reward="improvement")
    _, info = env.reset(seed=0)
    assert len(info["task_sizes"]) == 3
    assert info["improvement"] == 0.0
    for _ in range(6):
        _, reward, _, _, info = env.step(0)
        assert info["improvement"] == reward
        assert "task_sizes" not in info
