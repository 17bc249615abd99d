"""Balance the gradients of two tasks that pull a shared layer in different directions."""

import torch
from torch import nn

from mtlgym import Balancer
from mtlgym.balancing import aggregate

generator = torch.Generator().manual_seed(0)
x = torch.randn(256, 8, generator=generator)
targets = torch.stack([x.sum(dim=1), 100 * (x[:, 0] - x[:, 1])], dim=1)  # unlike scales

trunk, heads = nn.Sequential(nn.Linear(8, 4), nn.Tanh()), [nn.Linear(4, 1), nn.Linear(4, 1)]
optimizer = torch.optim.Adam([*trunk.parameters(), *heads[0].parameters(), *heads[1].parameters()])
balancer = Balancer("nash", shared=trunk, heads=heads)  # "igbv1+nash": a loss method on top
for _ in range(200):
    features = trunk(x)
    outputs = torch.cat([head(features) for head in heads], dim=1)
    losses = (outputs - targets).square().mean(dim=0)  # (tasks,)
    optimizer.zero_grad()
    weights = balancer.backward(losses)
    optimizer.step()
print("losses", losses.tolist(), "weights", weights.tolist())

jacobian = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])  # a gradient a row
for name in ("mgda", "pcgrad", "cagrad:c=0.4", "imtl_g", "nash"):
    print(f"{name:12}", aggregate(name, jacobian).tolist())
