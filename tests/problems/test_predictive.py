"""What models of domains predict, how sure they are, and attacks on them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym.problems import fgsm
from mtlgym.problems.predictive import calibration_error, predict, quality
from tests.problems import toy_domains as toy


def trained():
    environment = toy.env(toy.problem(hidden=32, latent=16), steps=40, batch_size=16)
    toy.play(environment)
    split: Any = environment.problem.splits["test"]
    return environment.episode.learner.model.eval(), split.features[1], split.labels[1]


def test_an_attack_shifts_every_feature_by_epsilon_and_lowers_the_accuracy():
    model, x, labels = trained()
    assert torch.equal(fgsm.attack(model, x, labels, 1, 0.0), x)
    shifted = fgsm.attack(model, x, labels, 1, 0.5)
    assert_close((shifted - x).abs(), torch.full_like(x, 0.5), rtol=0, atol=1e-6)
    found = [
        quality(predict(model, each, 1).probabilities, labels)["accuracy"]
        for each in (x, shifted, fgsm.attack(model, x, labels, 1, 2.0))
    ]
    assert found[0] > found[1] >= found[2]
    assert all(
        parameter.grad is None or parameter.requires_grad for parameter in model.parameters()
    )


def test_an_attack_climbs_the_gradient_of_the_loss():
    model, x, labels = trained()
    step = fgsm.attack(model, x, labels, 1, 1.0) - x
    for sample, feature in ((0, 0), (3, 2)):
        ends = []
        for side in (-1e-2, 1e-2):
            moved = x.clone()
            moved[sample, feature] += side
            scores = model.scores(moved[None], slice(1, 2))[0, 0]
            ends.append(torch.nn.functional.cross_entropy(scores, labels).item())
        assert (ends[1] > ends[0]) == (step[sample, feature].item() > 0)


def test_measuring_under_attack_reports_an_accuracy_for_each_shift():
    environment = toy.env(toy.problem(attack=(0.0, 3.0)), steps=40, batch_size=16)
    toy.play(environment)
    found = environment.evaluate("test")
    assert found["domain0/accuracy_fgsm_0"] == found["domain0/accuracy"]
    assert found["domain0/accuracy_fgsm_3"] < found["domain0/accuracy"]


def test_predictions_by_the_means_are_the_softmax_of_their_scores():
    model, x, _ = trained()
    found = predict(model, x, 1)
    wanted = model.scores(x[None], slice(1, 2))[0, 0].double().softmax(dim=1)
    assert_close(found.probabilities, wanted)
    assert (found.deviation == 0).all()
    assert (found.information.abs() < 1e-9).all()
    assert_close(found.entropy, -(wanted * wanted.log()).sum(dim=1))


def test_draws_tell_how_sure_a_prediction_is_and_leave_torchs_generator_alone():
    model, x, _ = trained()
    before = torch.get_rng_state()
    found = predict(model, x, 1, draws=200, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(found.probabilities, predict(model, x, 1, 200, 1).probabilities)
    assert not torch.equal(found.probabilities, predict(model, x, 1, 200, 2).probabilities)
    assert_close(found.probabilities.sum(dim=1), torch.ones(len(x)).double())
    assert ((found.information > 0) & (found.information <= found.entropy)).all()
    assert (found.deviation > 0).any()


def test_quality_is_that_of_hand_worked_predictions():
    probabilities = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]]).double()
    found = quality(probabilities, torch.tensor([0, 1, 1, 0]))
    assert found["accuracy"] == 50.0
    wanted = -np.log([0.8, 0.4, 0.7, 0.1]).mean()
    assert found["nll"] == pytest.approx(wanted)
    gaps = 0.2 + 0.6 + 0.3 + 0.9  # each in a bin of its own
    assert found["ece"] == pytest.approx(100 * gaps / 4)


def test_calibration_counts_the_gap_of_a_bin_not_of_its_samples():
    confidence, correct = np.array([0.62, 0.66, 0.65]), np.array([True, True, False])
    assert calibration_error(confidence, correct) == pytest.approx(abs(1.93 - 2) / 3)
    assert calibration_error(np.array([1.0, 1e-9]), np.array([True, False])) < 1e-8


def test_a_prediction_that_is_not_finite_is_wrong():
    probabilities = torch.tensor([[0.9, 0.1], [torch.nan, torch.nan]]).double()
    found = quality(probabilities, torch.tensor([0, 0]))
    assert found["accuracy"] == 50.0
    assert np.isnan(found["nll"])


def test_what_cannot_be_predicted_is_refused():
    model, (x, labels) = toy.model("vmtl"), toy.batch()
    for task in (3, -1):
        with pytest.raises(ValueError, match="`task`"):
            predict(model, x[0], task)
        with pytest.raises(ValueError, match="`task`"):
            fgsm.attack(model, x[0], labels[0], task, 0.1)
    with pytest.raises(ValueError, match="`draws`"):
        predict(model, x[0], 0, draws=-1)
    with pytest.raises(ValueError, match="`seed`"):
        predict(model, x[0], 0, draws=2, seed=-1)
    for epsilon in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="`epsilon`"):
            fgsm.attack(model, x[0], labels[0], 0, epsilon)
    with pytest.raises(ValueError, match="`x`"):
        predict(model, x[0][:0], 0)
