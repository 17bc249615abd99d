"""The cost of a step of each gradient method relative to equal weights (T), for mtlgym and torchjd.

    python benchmarks/gradient_step.py --models segnet qm9 qm9_mini mlp --methods nash mgda

A step is forward pass, backward passes, method, and Adam. Four ways to make it: `mtlgym` by
`mtlgym.Balancer`, `torchjd` by its fastest engine for the model (`mtl_backward` vectorised or one
task at a time, or `autogram.Engine`) with its own weights, `loop` by one `autograd.grad` a task
over shared parameters and the task's head, rows put together by `stack`, with our weights, and
`published`, the loop of the methods' published code, which goes back through the weighted sum once
more. All steps run in one process in turn; the times are medians. `--threads` holds for all.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import gymnasium as gym
import torch
import tyro
from torch import Tensor, nn

from mtlgym.balancing import Balancer, gradient_method
from mtlgym.training.options import Balance

try:
    from torchjd import aggregation
    from torchjd.autogram import Engine
    from torchjd.autojac import mtl_backward
except ImportError:
    aggregation = None

THEIRS: dict[str, Callable[[int], Any]] = {
    "cagrad": lambda tasks: aggregation.CAGradWeighting(c=0.5),
    "imtl_g": lambda tasks: aggregation.IMTLGWeighting(),
    "mgda": lambda tasks: aggregation.MGDAWeighting(),
    "nash": lambda tasks: aggregation.NashMTL(n_tasks=tasks).weighting,  # of the Jacobian itself
    "pcgrad": lambda tasks: aggregation.PCGradWeighting(),
    "upgrad": lambda tasks: aggregation.UPGradWeighting(),
}


@dataclass
class Args:
    """What is measured."""

    models: tuple[str, ...] = ("segnet", "qm9_mini", "mlp")
    methods: tuple[str, ...] = ("mgda", "pcgrad", "cagrad", "imtl_g", "nash")
    repeats: int = 9
    threads: int = 1
    strategy: str = "auto"


@dataclass
class Case:
    """A model with its batch.

    Attributes:
        model: with `trunk` and `heads`.
        losses: the tasks' losses by a model, one tensor a task.
    """

    model: nn.Module
    losses: Callable[[nn.Module], list[Tensor]]


def environment(id: str) -> Case:
    """The model and the first batch of an environment."""
    env: Any = gym.make(f"mtlgym:{id}", data="embedded").unwrapped
    env.reset(seed=0)
    learner = env.episode.learner
    batch = learner.feed.next_share().batch

    def losses(model: nn.Module) -> list[Tensor]:
        return list(env.problem.losses(model, batch).unbind())

    return Case(learner.model, losses)


class MLP(nn.Module):
    """Three hidden layers of 512 and 40 heads."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        sizes = (256, 512, 512, 512)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(512, 1) for _ in range(40))


def mlp() -> Case:
    """40 regressions on 128 random vectors."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(128, 256, generator=generator), torch.randn(128, 40, generator=generator)

    def losses(model: Any) -> list[Tensor]:
        features = model.trunk(x)
        return [
            (head(features)[:, 0] - y[:, t]).square().mean() for t, head in enumerate(model.heads)
        ]

    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return Case(MLP(), losses)


CASES = {
    "mlp": mlp,
    "qm9": lambda: environment("MTL-QM9-v0"),
    "qm9_mini": lambda: environment("MTL-QM9-Mini-v0"),
    "segnet": lambda: environment("MTL-Rooms-v0"),
}
Step = Callable[[], None]


def stepping(case: Case, backward: Callable[[Any], Callable[[list[Tensor]], None]]) -> Step:
    """A whole training step on a copy of the model."""
    model = copy.deepcopy(case.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    go_back = backward(model)

    def step() -> None:
        optimizer.zero_grad()
        go_back(case.losses(model))
        optimizer.step()

    return step


def equal(model: Any) -> Callable[[list[Tensor]], None]:
    """Equal weights."""
    return lambda losses: torch.stack(losses).sum().backward()


def ours(method: str, strategy: str) -> Callable[[Any], Callable[[list[Tensor]], None]]:
    """By the Balancer."""

    def make(model: Any) -> Callable[[list[Tensor]], None]:
        balancer = Balancer(method, shared=model.trunk, heads=list(model.heads), strategy=strategy)
        make.balancer = balancer  # type: ignore[attr-defined]

        def backward(losses: list[Tensor]) -> None:
            balancer.backward(torch.stack(losses))

        return backward

    return make


def loop(method: str, *, published: bool) -> Callable[[Any], Callable[[list[Tensor]], None]]:
    """By one `autograd.grad` a task; published code then goes back through the weighted sum."""

    def make(model: Any) -> Callable[[list[Tensor]], None]:
        trunk, decide = list(model.trunk.parameters()), gradient_method(method)
        sizes = [parameter.numel() for parameter in trunk]

        def backward(losses: list[Tensor]) -> None:
            rows, heads = [], []
            for loss, head in zip(losses, model.heads, strict=True):
                own = [] if published else list(head.parameters())
                grads = torch.autograd.grad(loss, [*trunk, *own], retain_graph=True)
                rows.append(torch.cat([grad.flatten() for grad in grads[: len(trunk)]]))
                heads.append(grads[len(trunk) :])
            jacobian = torch.stack(rows)
            weights = decide(jacobian @ jacobian.T).to(jacobian)
            if published:
                (weights * torch.stack(losses)).sum().backward()
                return
            for parameter, part in zip(trunk, (weights @ jacobian).split(sizes), strict=True):
                parameter.grad = part.view_as(parameter)
            for head, grads, weight in zip(model.heads, heads, weights, strict=True):
                for parameter, grad in zip(head.parameters(), grads, strict=True):
                    parameter.grad = weight * grad

        return backward

    return make


def torchjds(
    method: str, tasks: int, chunk: int | None
) -> Callable[[Any], Callable[[list[Tensor]], None]]:
    """By `mtl_backward`: heads first, then the trunk's Jacobian, vectorised or row by row."""

    def make(model: Any) -> Callable[[list[Tensor]], None]:
        trunk, decide = list(model.trunk.parameters()), THEIRS[method](tasks)
        kept: list[Tensor] = []
        model.trunk.register_forward_hook(lambda module, inputs, output: kept.append(output))

        def backward(losses: list[Tensor]) -> None:
            features = kept.pop()
            kept.clear()
            mtl_backward(
                losses,
                features=[features],
                tasks_params=[list(head.parameters()) for head in model.heads],
                shared_params=trunk,
                retain_graph=True,
                parallel_chunk_size=chunk,
            )
            jacobian = torch.cat([parameter.jac.flatten(1) for parameter in trunk], dim=1)
            seen = jacobian if method == "nash" else jacobian @ jacobian.T
            weights = decide(seen).to(jacobian)
            direction = (weights @ jacobian).split([parameter.numel() for parameter in trunk])
            for parameter, part in zip(trunk, direction, strict=True):
                parameter.grad = part.view_as(parameter)
                del parameter.jac

        return backward

    return make


def torchjds_engine(method: str, tasks: int) -> Callable[[Any], Callable[[list[Tensor]], None]]:
    """By `autogram.Engine`: the Gramian first, then one backward pass of the weighted sum."""

    def make(model: Any) -> Callable[[list[Tensor]], None]:
        decide = THEIRS[method](tasks)
        engine = Engine(model.trunk, batch_dim=None)

        def backward(losses: list[Tensor]) -> None:
            stacked = torch.stack(losses)
            stacked.backward(decide(engine.compute_gramian(stacked)).to(stacked))

        return backward

    return make


def times(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of each step, in turn, after two to warm up; without those that fail.

    In its turn each makes two steps, and the second counts: the first finds a cold cache.
    """
    found: dict[str, list[float]] = {}
    for name, step in list(steps.items()):
        try:
            step()
            step()
            found[name] = []
        except (RuntimeError, ValueError) as error:
            print(f"    {name} cannot: {str(error).splitlines()[0][:90]}")
    for _ in range(repeats):
        for name, each in found.items():
            steps[name]()
            started = time.perf_counter()
            steps[name]()
            each.append(time.perf_counter() - started)
    return {name: median(each) for name, each in found.items()}


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(args.threads)
    for model in args.models:
        case = CASES[model]()
        tasks = len(case.losses(case.model))
        parameters = sum(p.numel() for p in case.model.parameters())
        print(f"{model}: {tasks} tasks, {parameters:,} parameters, {args.threads} threads")
        for method in args.methods:
            Balance(aggregator=method)
            mine = ours(method, args.strategy)
            steps = {
                "equal": stepping(case, equal),
                "mtlgym": stepping(case, mine),
                "loop": stepping(case, loop(method, published=False)),
                "published": stepping(case, loop(method, published=True)),
            }
            if aggregation is not None and method in THEIRS:
                steps["torchjd vmap"] = stepping(case, torchjds(method, tasks, None))
                steps["torchjd rows"] = stepping(case, torchjds(method, tasks, 1))
                if method != "nash":
                    steps["torchjd engine"] = stepping(case, torchjds_engine(method, tasks))
            found = times(steps, args.repeats)
            base = found["equal"]
            others = [
                t for name, t in found.items() if name not in ("equal", "mtlgym", "published")
            ]
            ratios = ", ".join(f"{name} {t / base:.2f}" for name, t in found.items())
            chosen = mine.balancer.gradients.strategy  # type: ignore[attr-defined]
            print(
                f"  {method:8} T: {ratios} ({1e3 * base:.1f} ms); fastest other over ours "
                f"{min(others) / found['mtlgym']:.2f} ({chosen})",
                flush=True,
            )


if __name__ == "__main__":
    main(tyro.cli(Args))
