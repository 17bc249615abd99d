"""Training steps by one process or by several, each on its share of the batch."""

import os
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mtlgym.balancing.balancer import Balancer

STEPS = 4


class Net(nn.Module):
    """No batch norm: its statistics would be those of the share."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 6), nn.LayerNorm(6))
        self.heads = nn.ModuleList(nn.Linear(6, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(x)
        return torch.cat([head(features) for head in self.heads], dim=1)


def train(spec: str, strategy: str, rank: int, processes: int) -> Tensor:
    """The parameters after a few steps, and the last weights."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS, 12, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(STEPS, 12, 3, generator=generator, dtype=torch.float64)
    torch.random.default_generator.manual_seed(0)
    net = Net().double()
    alone = processes == 1
    model = None if alone else DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    balancer = Balancer(
        spec,
        shared=net.trunk,
        heads=list(net.heads),
        steps_per_epoch=1,
        strategy=strategy,
        group=None if alone else distributed.group.WORLD,
    )
    for inputs, targets in zip(x, y, strict=True):
        share = slice(rank * 12 // processes, (rank + 1) * 12 // processes)
        optimizer.zero_grad()
        if model is None:
            outputs = net(inputs[share])
        else:
            with model.no_sync():
                outputs = model(inputs[share])
        balancer.backward((outputs - targets[share]).square().mean(dim=0))
        optimizer.step()
    parts = [parameter.detach().flatten() for parameter in net.parameters()]
    return torch.cat([*parts, balancer.weights])


def work(rank: int, processes: int, folder: str, cells: list[tuple[str, str]]) -> None:
    """Train every cell as one of the processes; leave the results in the folder."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=60),
    )
    found = [train(spec, strategy, rank, processes) for spec, strategy in cells]
    torch.save(torch.stack(found), Path(folder) / f"{rank}.pt")
    distributed.barrier()
    # Without taking the group down: gloo's threads now and then abort the process there.
    os._exit(0)
