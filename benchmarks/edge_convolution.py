"""Time and memory of a training step of the QM9 network, against PyTorch Geometric's NNConv.

    python benchmarks/edge_convolution.py --threads 1 --repeats 7

Molecules have 9 to 27 atoms, 18 in the mean as in QM9, random features, and an edge between any two
atoms. A step is forward, mean squared error, backward and Adam. Times are medians of steps that
alternate between both variants in one process. Memory is the peak resident size of one process per
variant (`ru_maxrss`) during its first step, less that size just before the step.
"""

import argparse
import copy
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mtlgym.datasets.qm9 import MoleculeBatch
from mtlgym.models.mpnn import MPNN

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it uses torch.jit when it is imported
    from torch_geometric.nn import NNConv

VARIANTS = ("mtlgym", "NNConv")
TASKS = 11


class Reference(nn.Module):
    """NNConv behind the two calls that the network makes; nothing can be prepared."""

    def __init__(self, conv: NNConv) -> None:
        """Wrap a convolution."""
        super().__init__()
        self.conv = conv

    def prepare(self, nodes: int, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        """Pass the edges on."""
        return edge_index, edge_attr

    def propagate(self, x: Tensor, edges: tuple[Tensor, Tensor]) -> Tensor:
        """Convolve once."""
        return self.conv(x, *edges)


def molecules(graphs: int, generator: torch.Generator) -> MoleculeBatch:
    """Fully connected graphs of 9 to 27 atoms with random features."""
    sizes = torch.randint(9, 28, (graphs,), generator=generator)
    starts = (sizes.cumsum(0) - sizes).tolist()
    pairs = [(1 - torch.eye(n)).nonzero().T + at for n, at in zip(sizes, starts, strict=True)]
    edge_index = torch.cat(pairs, dim=1)
    return MoleculeBatch(
        x=torch.randn(int(sizes.sum()), 11, generator=generator),
        edge_index=edge_index,
        edge_attr=torch.rand(edge_index.shape[1], 5, generator=generator),
        graph=torch.repeat_interleave(torch.arange(graphs), sizes),
        graphs=graphs,
        y=torch.randn(graphs, TASKS, generator=generator),
    )


def network(variant: str, args: argparse.Namespace) -> MPNN:
    """The network with one of the two convolutions, from the same parameters."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        model = MPNN(TASKS, args.dim, args.hidden)
    if variant == "NNConv":
        edge_network = copy.deepcopy(model.trunk.conv.nn)  # NNConv draws it anew
        conv = NNConv(args.dim, args.dim, edge_network, aggr="mean")
        conv.load_state_dict(model.trunk.conv.state_dict())
        model.trunk.add_module("conv", Reference(conv))
    return model


def training_step(model: MPNN, batch: MoleculeBatch) -> Callable[[], float]:
    """A function that trains the model once on the batch and returns the loss before."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), batch.y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def convolutions(model: MPNN, batch: MoleculeBatch) -> Callable[[], float]:
    """A function that runs the three convolutions alone, forward and backward."""
    conv, nodes = model.trunk.conv, len(batch.x)
    width = model.trunk.first.out_features
    x = torch.randn(nodes, width, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def run() -> float:
        conv.zero_grad()
        edges, out = conv.prepare(nodes, batch.edge_index, batch.edge_attr), x
        for _ in range(3):
            out = conv.propagate(out, edges).tanh()
        loss = out.square().mean()
        loss.backward()
        return loss.item()

    return run


def medians(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turn, after one run to warm up whose results must agree."""
    losses = [run() for run in runs.values()]
    assert max(losses) - min(losses) < 1e-4 * max(losses), losses
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def peak_memory(variant: str, args: argparse.Namespace) -> float:
    """MiB that the first step of a variant adds to the peak, measured in a process of its own."""
    flags = [f"--{name}={getattr(args, name)}" for name in ("batch", "dim", "hidden", "threads")]
    command = [sys.executable, __file__, f"--memory-of={variant}", *flags]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def added_memory(step: Callable[[], float]) -> float:
    """MiB that a step adds to this process's peak (`ru_maxrss` is in KiB on Linux)."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def arguments() -> argparse.Namespace:
    """The command line; the default sizes are the published ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"batch": 120, "dim": 64, "hidden": 128, "threads": 1, "repeats": 7}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print the table."""
    args = arguments()
    torch.set_num_threads(args.threads)
    batch = molecules(args.batch, torch.Generator().manual_seed(0))
    if args.memory_of:
        print(added_memory(training_step(network(args.memory_of, args), batch)))
        return
    # Memory comes first, as a child process starts from its parent's peak.
    memory = {name: peak_memory(name, args) for name in VARIANTS}
    rows = {
        "training step, ms": (training_step, 1e3),
        "three convolutions, ms": (convolutions, 1e3),
    }
    table = {}
    for title, (make, unit) in rows.items():
        runs = {name: make(network(name, args), batch) for name in VARIANTS}
        table[title] = {k: v * unit for k, v in medians(runs, args.repeats).items()}
    table["peak memory, MiB"] = memory
    print("python", *sys.argv)
    print(f"{len(batch.x)} atoms, {batch.edge_index.shape[1]} edges, {args.threads} threads")
    print(f"{'':24}{VARIANTS[0]:>10}{VARIANTS[1]:>10}{'ratio':>8}")
    for title, row in table.items():
        ours, theirs = (row[name] for name in VARIANTS)
        print(f"{title:24}{ours:10.1f}{theirs:10.1f}{theirs / ours:8.1f}")


if __name__ == "__main__":
    main()
