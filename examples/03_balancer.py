"""Balance the losses of a training loop of your own; no environment is involved."""

import torch

from mtlgym import Balancer

generator = torch.Generator().manual_seed(0)
x = torch.randn(256, 8, generator=generator)
targets = torch.stack([x.sum(dim=1), 100 * x[:, 0]], dim=1)  # two tasks of unlike scales

model = torch.nn.Linear(8, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
balancer = Balancer("igbv1", steps_per_epoch=4)
for _ in range(20):  # epochs
    for batch in torch.arange(256).split(64):
        losses = (model(x[batch]) - targets[batch]).square().mean(dim=0)  # (tasks,)
        optimizer.zero_grad()
        weights = balancer.backward(losses)
        optimizer.step()
print("losses", losses.tolist(), "weights", weights.tolist())
