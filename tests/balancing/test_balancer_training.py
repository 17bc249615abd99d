import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mtlgym.balancing import Balancer, parse
from mtlgym.record import Record

SPECS = [
    "equal",
    "fixed:weights=[1,2]",
    "rlw",
    "rlw+si",
    "dwa",
    "dwa:window=3",
    "uw",
    "si",
    "igbv1",
    "famo",
    "gls",
    "go4align",
]


class Regression:
    """Two noisy linear regressions on one input, with losses a hundredfold apart."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(40, 10, 4, generator=generator, dtype=torch.float64)
        truth = torch.randn(4, 2, generator=generator, dtype=torch.float64)
        noise = torch.randn(40, 10, 2, generator=generator, dtype=torch.float64)
        self.targets = (self.inputs @ truth + 0.2 * noise) * torch.tensor([1.0, 0.1])
        self.weight = nn.Parameter(torch.zeros(4, 2, dtype=torch.float64))
        self.optimizer = torch.optim.Adam([self.weight], lr=0.02)

    def losses(self, step: int) -> Tensor:
        return ((self.inputs[step % 40] @ self.weight - self.targets[step % 40]) ** 2).mean(dim=0)

    def train(self, balancer: Balancer, steps: range) -> list[Tensor]:
        weights = []
        for step in steps:
            self.optimizer.zero_grad()
            weights.append(balancer.backward(self.losses(step)))
            self.optimizer.step()
            if balancer._method.needs_same_batch:
                balancer.update(self.losses(step))
        return weights


def test_equal_weights_train_exactly_as_the_sum_of_the_losses():
    ours, by_hand = Regression(), Regression()
    ours.train(Balancer("equal"), range(60))
    for step in range(60):
        by_hand.optimizer.zero_grad()
        by_hand.losses(step).sum().backward()
        by_hand.optimizer.step()
    assert torch.equal(ours.weight, by_hand.weight)
    assert (ours.losses(0) < 0.1 * Regression().losses(0)).all()


@pytest.mark.parametrize("spec", SPECS)
def test_every_method_trains_both_tasks(spec):
    problem = Regression()
    start = problem.losses(0).detach()
    problem.train(Balancer(spec, steps_per_epoch=10), range(120))
    assert (problem.losses(0) < start / 2).all()


@pytest.mark.parametrize("spec", SPECS)
def test_backward_gives_the_methods_weights_and_their_gradient(spec):
    problem, balancer = Regression(), Balancer(spec, steps_per_epoch=2)
    method: Any = parse(spec)[0]
    for step in range(8):
        problem.weight.grad = torch.ones_like(problem.weight)  # backward adds to what is there
        losses = problem.losses(step)
        wanted = method(Record(losses.detach(), step=step, epoch=1 + step // 2))
        objective = losses.log() if method.transform == "log" else losses
        gradient = torch.autograd.grad((wanted * objective).sum(), problem.weight)[0]
        weights = balancer.backward(problem.losses(step))
        assert_close(weights, wanted)
        assert balancer.weights is weights
        assert not weights.requires_grad
        assert_close(problem.weight.grad, gradient + 1)
        if balancer._method.needs_same_batch:
            problem.optimizer.step()
            before, after = losses.detach(), problem.losses(step).detach()
            balancer.update(after)
            method.update(before, after)


@pytest.mark.parametrize("spec", SPECS)
def test_a_balancer_goes_on_from_a_saved_state_as_if_never_stopped(spec):
    problem, balancer = Regression(), Balancer(spec, steps_per_epoch=5)
    problem.train(balancer, range(13))
    saved = balancer.state_dict()
    parameters = problem.weight.detach().clone()
    moments = copy.deepcopy(problem.optimizer.state_dict())
    whole = problem.train(balancer, range(13, 30))
    resumed, again = Balancer(spec, steps_per_epoch=5), Regression()
    resumed.load_state_dict(saved)
    again.weight.data.copy_(parameters)
    again.optimizer.load_state_dict(moments)
    assert_close(resumed.state_dict(), saved, rtol=0, atol=0)
    for continued, uninterrupted in zip(again.train(resumed, range(13, 30)), whole, strict=True):
        assert torch.equal(continued, uninterrupted)
