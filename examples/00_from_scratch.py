"""The whole idea in one file, with torch and Gymnasium alone: training a model is an MDP.

The MDP, after Dai et al. (UAI 2023), section 3.2.2:

    state        the losses of the two tasks on the batch that comes next
    action       the weights of the tasks in the next optimizer step
    transition   that step, and a look at the batch after it
    reward       alpha min_i (L_t,i - L_{t+1,i}) / L_base,i: the least decline of a loss (eq. 4)
    episode      one training: `reset` initialises a model, its last step truncates

`mtlgym.envs.training.env.TrainingEnv` gives the same rollout, number by number, on these data.
"""

import gymnasium as gym
import numpy as np
import torch
from torch import nn

TASKS, SAMPLES, BATCH, EPOCHS, LR = 2, 512, 64, 25, 0.05
STEPS_PER_EPOCH = SAMPLES // BATCH
BUDGET = EPOCHS * STEPS_PER_EPOCH  # optimizer steps in an episode
BASE_EPOCH = 2  # its mean losses are L_base, the unit of the reward


def make_data(seed):
    """Inputs (samples, 4), and targets (samples, 2) of very different scales."""
    x = np.random.default_rng(seed).normal(size=(SAMPLES, 4))
    y = np.stack([np.sin(x[:, 0] + x[:, 1]), 10 * np.abs(x[:, 1] - x[:, 2])], axis=1)
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


class TwoTasks(nn.Module):
    """A trunk that the tasks share, and a head for each."""

    def __init__(self):
        """Initialise from torch's global generator."""
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 32), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(32, 1) for _ in range(TASKS))

    def forward(self, x):
        """The predictions, (samples, 2)."""
        hidden = self.trunk(x)
        return torch.cat([head(hidden) for head in self.heads], dim=1)


def squared_errors(model, batch):
    """The losses of the tasks, (2,)."""
    x, y = batch
    return (model(x) - y).square().mean(dim=0)


class TrainingMDP(gym.Env):
    """An episode is one training of `TwoTasks`."""

    observation_space = gym.spaces.Box(0.0, np.inf, (2 * TASKS,), np.float32)
    action_space = gym.spaces.Box(0.0, np.inf, (TASKS,), np.float32)

    def __init__(self):
        """Load the data; `reset` builds the model."""
        self.x, self.y = make_data(seed=0)

    def reset(self, *, seed=None, options=None):
        """Initialise a model and look at the first batch."""
        super().reset(seed=seed)
        self.seed = int(self.np_random.integers(2**63))  # all chance in the episode comes from it
        key = np.random.SeedSequence([self.seed, 0]).generate_state(1, np.uint64)
        with torch.random.fork_rng():  # leaves torch's global generator as it was
            torch.manual_seed(int(key[0] >> 1))
            self.model = TwoTasks()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, BUDGET // 5, gamma=0.5)
        self.steps, self.base_sum, self.base = 0, 0.0, None
        return self.look(), {}

    def look(self):
        """Compute the losses of the next batch, with their graph; return the observation."""
        epoch, position = divmod(self.steps, STEPS_PER_EPOCH)
        order = np.random.default_rng([self.seed, 1, 0, epoch]).permutation(SAMPLES)
        indices = order[position * BATCH : (position + 1) * BATCH]
        self.losses = squared_errors(self.model, (self.x[indices], self.y[indices]))
        seen = self.losses.detach().double()
        if epoch + 1 == BASE_EPOCH:
            self.base_sum += seen
            if position + 1 == STEPS_PER_EPOCH:
                self.base = (self.base_sum / STEPS_PER_EPOCH).float()
        relative = torch.ones(TASKS) if self.base is None else seen / self.base
        return torch.cat([seen, relative]).numpy().astype(np.float32)  # L_t and L_t / L_base

    def step(self, action):
        """Train on the batch that was looked at, its tasks weighted, then look at the next."""
        before, base = self.losses.detach().double(), self.base
        alpha = LR / self.schedule.get_last_lr()[0]  # makes up for steps of a smaller learning rate
        self.optimizer.zero_grad()
        (torch.as_tensor(action) * self.losses.log()).sum().backward()
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        observation = self.look()
        reward = 0.0
        if base is not None:
            reward = alpha * float(((before - self.losses.detach()) / base).min())
        # The MDP has no terminal state: the end of the budget truncates, and agents bootstrap.
        return observation, reward, False, self.steps == BUDGET, {}


def equal(observation):
    """Every task counts the same."""
    return np.ones(TASKS, np.float32)


def improvable_gap(observation):
    """Weigh up the task with the most left to gain: n softmax(L / L_base) (IGBv1, eq. 3)."""
    relative = torch.from_numpy(observation[TASKS:])
    return (TASKS * torch.softmax(relative, dim=0)).numpy()


def train(env, policy, seed):
    """Play one episode, which trains one model; return the sum of the rewards."""
    observation, _ = env.reset(seed=seed)
    total, truncated = 0.0, False
    while not truncated:
        observation, reward, _, truncated, _ = env.step(policy(observation))
        total += reward  # an agent that learns, such as SAC, would store the transition here
    return total


if __name__ == "__main__":
    env = TrainingMDP()
    for policy in (equal, improvable_gap):
        total = train(env, policy, seed=0)
        with torch.no_grad():
            errors = squared_errors(env.model, make_data(seed=1)).tolist()
        print(f"{policy.__name__:15} return {total:7.3f}, held-out errors {np.round(errors, 4)}")
