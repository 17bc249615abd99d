"""Domains as a problem, in training."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from mtlgym.models.vmtl_design import MODELS
from mtlgym.problems.domains import DomainSplit
from tests.problems import toy_domains as toy


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_the_domains(name):
    problem = toy.problem(model=name, hidden=32, latent=16)
    environment = toy.env(problem, steps=60, batch_size=16)
    infos = toy.play(environment)
    assert not infos[-1]["failure"]
    found = environment.evaluate("test")
    accuracy = np.mean([found[f"domain{t}/accuracy"] for t in range(3)])
    assert accuracy > 60  # chance is 25
    assert set(found) == {metric.key for metric in environment.problem.metrics}


@pytest.mark.parametrize("aggregator", ["mgda", "nash", "pcgrad"])
@pytest.mark.parametrize("name", ["vmtl", "vmtl_ac", "bmtl"])
def test_gradient_methods_work_under_every_shared_model(name, aggregator):
    infos = toy.play(toy.env(toy.problem(model=name), aggregator=aggregator))
    assert not infos[-1]["failure"]


def test_a_gradient_method_needs_something_shared():
    environment = toy.env(toy.problem(model="stl"), aggregator="mgda")
    with pytest.raises(ValueError, match=r"`aggregator` 'mgda'.*shared parameters"):
        environment.reset(seed=0)


def test_tasks_can_be_chosen_one_at_a_time():
    environment = toy.env(interface="tasks", actions="logits", transform=None, weight_decay=0.1)
    environment.reset(seed=0)
    model = environment.episode.learner.model
    for task in (0, 1, 2, 1):  # with moments of all, and weight decay
        environment.step(task)
    before = {key: value.clone() for key, value in model.named_parameters()}
    for _ in range(2):
        environment.step(1)
    for key, value in model.named_parameters():
        moved = not torch.equal(before[key], value)
        assert moved == (key.startswith("trunk.") or key.endswith(".1")), key


@pytest.mark.parametrize("related", ["class_mean", "attention"])
@pytest.mark.parametrize("encoder", ["mlp", "bayesian_linear"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_under_bfloat16(name, encoder, related):
    attend = related == "attention"
    made = toy.problem(model=name, encoder=encoder, attend=attend)
    environment = toy.env(made, precision="bfloat16", steps=3)
    infos = toy.play(environment)
    assert not infos[-1]["failure"]
    plain = toy.env(made, steps=3)
    first, second = (each.reset(seed=0)[0] for each in (environment, plain))
    assert np.allclose(first, second, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("interface", ["weights", "tasks"])
def test_a_run_continues_bit_for_bit_while_the_objective_changes(interface, tmp_path):
    annealing = toy.Annealing(kl_w_rate=0.1, kl_z_rate=0.1, cooling_every=1, cooling_rate=0.2)
    weights = interface == "weights"
    options = {} if weights else {"interface": "tasks", "actions": "logits"}
    problem = toy.problem(annealing=annealing)
    action: Any = toy.ONES if weights else 2
    one, other = toy.env(problem, **options), toy.env(problem, **options)
    one.reset(seed=3)
    for _ in range(3):
        one.step(action)
    one.save(tmp_path / "run")
    other.reset(seed=9)
    other.load(tmp_path / "run")
    for _ in range(3):
        left, right = one.step(action), other.step(action)
        assert np.array_equal(left[0], right[0])
        assert left[1] == right[1]
    for a, b in zip(
        one.episode.learner.model.parameters(),
        other.episode.learner.model.parameters(),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_a_domain_without_validation_samples_is_left_out_of_the_score():
    problem = toy.problem()
    val = problem.splits["val"]
    assert isinstance(val, DomainSplit)
    empty = DomainSplit(
        [val.features[0][:0], *val.features[1:]], [val.labels[0][:0], *val.labels[1:]], 4
    )
    problem = dataclasses.replace(problem, splits={**problem.splits, "val": empty})
    environment = toy.env(problem)
    toy.play(environment)
    validation = environment.episode.learner.validation
    assert not any(key.startswith("domain0/") for key in validation.values)
    kept = [validation.values[f"domain{t}/accuracy"] for t in (1, 2)]
    assert validation.score == -np.mean(kept)
    assert np.isfinite(validation.best_score)


def test_without_any_validation_samples_the_last_parameters_are_tested():
    environment = toy.env(toy.problem(val=0))
    toy.play(environment)
    assert environment.episode.learner.validation.score == np.inf
    assert environment.evaluate("val") == {}
    assert environment.evaluate("test", best=True) == environment.evaluate("test")


def test_only_the_accuracy_counts_in_scores():
    judged = [m.name for m in toy.problem(attack=(0.1,)).metrics if m.judged]
    assert judged == ["accuracy"] * 3


def test_the_findings_are_the_weights_of_the_tasks():
    problem = toy.problem()
    found = problem.findings(problem.build())["relatedness"]
    assert np.shape(found["z"]) == np.shape(found["w"]) == (3, 3)
    plain = toy.problem(model="bmtl")
    assert plain.findings(plain.build()) == {"feature_width": 6}


def test_a_domain_can_be_learnt_alone():
    environment = toy.env(toy.problem(found=toy.domains(tasks=1)))
    environment.reset(seed=0)
    *_, info = environment.step(np.ones(1, np.float32))
    assert not info["failure"]
    learnt: Any = environment.episode.learner.model
    assert learnt.weights() == {}
    assert set(environment.evaluate("test")) == {"domain0/accuracy", "domain0/nll", "domain0/ece"}
