"""IGBv2: soft actor-critic chooses the task weights while the network trains."""

from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger

from mtlgym import checks
from mtlgym.agents.saving import state_checks
from mtlgym.agents.streams import GlobalStream, numpy_stream, torch_stream
from mtlgym.agents.weights import actions
from mtlgym.agents.weights.logistic_normal import LogisticNormal

_APART = ("observation_space", "action_space", "seed")
_COUNTS = ("update_epoch", "use_epoch", "update_every", "updates", "batch_size", "buffer_size")
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones")


@dataclass(eq=False)
class IGBv2:
    """Weigh tasks by a SAC policy that learns from the improvable gaps during the training.

    Transitions are stored from the one into the third epoch on, when the reward's base losses are
    known, and any that ends in failure; SAC trains from `update_epoch` and decides from
    `use_epoch`, always by sampling. Before that the weights are n softmax(N(0, 1)^n), random loss
    weighting. Every `update_every` decisions make
    int(f `updates`) gradient steps on batches of int(f `batch_size`) transitions, where
    f = 1 + fill of the buffer runs from 1 to 2. The end of the budget never masks the target of a
    transition; a failed training does.

    With `actions="weights"` an action is n softmax(u), u normal, with the logistic-normal density.
    With `actions="logits"` it is tanh(u), Stable-Baselines3's own squashed normal; random decisions
    are clip(N(0, 1/4), -1, 1), nearly the same weights.

    Source: Dai, Fei, Lu, "Improvable Gap Balancing for Multi-Task Learning" (UAI 2023), section
    3.2.2, Algorithm 2; sizes and rates of the published code.
    Differs from it in that the density of the weights is the softmax's, not the tanh's, that a
    failure ends an episode, and that observations and rewards are clipped to [-1e6, 1e6].

    Attributes:
        observation_space: one-axis box of the losses and other features.
        action_space: `Box(0, inf, (tasks,))` or `Box(-1, 1, (tasks,))`.
        seed: seed of the agent's own random generators; None takes fresh entropy.
        update_epoch: first epoch, counted from 1, in which SAC trains.
        use_epoch: first epoch in which SAC decides.
        update_every: decisions between two rounds of gradient steps.
        updates: gradient steps of a round with an empty buffer; a full one doubles them.
        batch_size: transitions of a gradient step, growing likewise.
        buffer_size: capacity of the replay buffer.
        gamma: discount of a decision, in [0, 1].
        tau: weight of the critics in the update of the target critics, at each gradient step.
        learning_rate: Adam's, for actor, critics and temperature.
        temperature: initial weight of the entropy, tuned from then on.
        target_entropy: in nats; None takes minus the number of tasks.
        hidden: units of the hidden layers of actor and critics.

    Raises:
        ValueError: for another kind of space, or a number out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    update_epoch: int = 4
    use_epoch: int = 6
    update_every: int = 50
    updates: int = 25
    batch_size: int = 128
    buffer_size: int = 10_000
    gamma: float = 0.99
    tau: float = 0.005
    learning_rate: float = 3e-4
    temperature: float = 0.2
    target_entropy: float | None = None
    hidden: tuple[int, ...] = (128, 128)

    def __post_init__(self) -> None:
        """Check the settings and build SAC."""
        self._kind = actions.kind(self.action_space, "IGBv2", ("weights", "logits"))
        self._tasks = actions.tasks(self.action_space)
        self._size = actions.vector_size(self.observation_space, "IGBv2")
        self._check()
        self._torch, self._numpy = torch_stream(self.seed), numpy_stream(self.seed)
        with self._torch.swapped_in(), self._numpy.swapped_in():
            self._model = self._build()
        self._decisions = 0

    @property
    def stored(self) -> int:
        """Transitions in the replay buffer."""
        return _replay(self._model).size()

    @property
    def gradient_steps(self) -> int:
        """Gradient steps that SAC has made."""
        return self._model._n_updates

    def act(self, observation: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The action for the pending batch, whose epoch is `info["epoch"]`; (tasks,), float32."""
        if info["epoch"] >= self.use_epoch:
            return self.decide(observation)
        with self._torch.swapped_in(), torch.no_grad():
            return self._explore()

    def decide(
        self, observation: Any, deterministic: bool = False, chance: GlobalStream | None = None
    ) -> np.ndarray:
        """SAC's own action in any epoch, drawn or the most probable; (tasks,), float32.

        Args:
            observation: as `act` takes it.
            deterministic: whether to take the action of the mean and draw nothing.
            chance: the generator to draw from; None takes the agent's own.
        """
        batch = torch.from_numpy(actions.bounded("observation", observation))[None]
        with (chance or self._torch).swapped_in(), torch.no_grad():
            return self._model.actor(batch, deterministic)[0].numpy()

    def learn(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float,
        next_observation: np.ndarray,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """Store the transition, and train SAC when a round is due.

        A transition with `info["reward_ready"]` false is not stored, unless it ended in failure.
        """
        self._decisions += 1
        if info["reward_ready"] or terminated:
            _replay(self._model).add(
                actions.bounded("observation", observation),
                actions.bounded("next_observation", next_observation),
                action,
                actions.bounded("reward", reward),
                np.bool_(terminated),
                [{}],
            )
        due = self._decisions % self.update_every == 0 and info["epoch"] >= self.update_epoch
        if due and self.stored:
            growth = 1 + self.stored / self.buffer_size
            with self._torch.swapped_in(), self._numpy.swapped_in():
                self._model.train(int(self.updates * growth), int(self.batch_size * growth))

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes: SAC, its transitions, generators and the count."""
        return {
            "settings": self._settings(),
            "sac": _state_of(self._model),
            "torch": self._torch.state(),
            "numpy": self._numpy.state(),
            "decisions": self._decisions,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other spaces or numbers, or one that is not
                whole.
        """
        state_checks.check_state(state, self, self._settings())
        _load_state(self._model, state["sac"])
        self._torch.load(state["torch"])
        self._numpy.load(state["numpy"])
        self._decisions = state["decisions"]

    def _check(self) -> None:
        """Refuse numbers out of their ranges."""
        for name in _COUNTS:
            checks.integer(name, getattr(self, name), least=1)
        for name in ("learning_rate", "temperature"):
            checks.real(name, getattr(self, name), 0.0, open_end=True)
        for name in ("gamma", "tau"):
            value = getattr(self, name)
            checks.real(name, value, 0.0)
            if value > 1:
                raise ValueError(f"`{name}` must lie in [0, 1], not {value}")

    def _explore(self) -> np.ndarray:
        noise = torch.randn(self._tasks)
        if self._kind == "weights":
            return (len(noise) * torch.softmax(noise, dim=0)).numpy()
        return (noise / 2).clamp(-1, 1).numpy()

    def _build(self) -> SAC:
        """A SAC model on the CPU, without an environment and with a silent log."""
        tasks = self._tasks
        low, high = (0, tasks) if self._kind == "weights" else (-1, 1)
        model = SAC(
            "MlpPolicy",
            None,  # type: ignore[arg-type]
            device="cpu",
            _init_setup_model=False,
            learning_rate=self.learning_rate,
            buffer_size=self.buffer_size,
            gamma=self.gamma,
            tau=self.tau,
            ent_coef=f"auto_{self.temperature}",
            target_entropy=-float(tasks) if self.target_entropy is None else self.target_entropy,
            policy_kwargs={"net_arch": list(self.hidden), "optimizer_kwargs": {"fused": True}},
        )
        model.observation_space, model.n_envs = self.observation_space, 1
        model.action_space = spaces.Box(low, high, (tasks,), np.float32)
        model._setup_model()
        model.set_logger(Logger(folder=None, output_formats=[]))
        if self._kind == "weights":
            model.actor.action_dist = LogisticNormal()
        return model

    def _settings(self) -> dict[str, Any]:
        """The settings that a state must have in common: spaces, and every number but the seed."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _APART}
        spaces = {"observations": self._size, "actions": self._kind, "tasks": self._tasks}
        return spaces | numbers | {"hidden": list(self.hidden)}


def _replay(model: SAC) -> ReplayBuffer:
    """The model's replay buffer."""
    assert model.replay_buffer is not None
    return model.replay_buffer


def _state_of(model: SAC) -> dict[str, Any]:
    """Copies of all that training changes: networks, moments, temperature, transitions."""
    buffer = _replay(model)
    filled = buffer.size()
    return {
        "policy": {name: value.clone() for name, value in model.policy.state_dict().items()},
        "moments": {name: _moments(each) for name, each in _optimizers(model).items()},
        "log_temperature": _log_temperature(model).detach().clone(),
        "buffer": {name: vars(buffer)[name][:filled].copy() for name in _COLUMNS},
        "position": buffer.pos,
        "full": buffer.full,
        "updates": model._n_updates,
    }


def _load_state(model: SAC, state: dict[str, Any]) -> None:
    """Load a state returned by `_state_of` for a model of the same settings."""
    model.policy.load_state_dict(state["policy"])
    for name, optimizer in _optimizers(model).items():
        _set_moments(optimizer, state["moments"][name])
    with torch.no_grad():
        _log_temperature(model).copy_(state["log_temperature"])
    buffer = _replay(model)
    for name, column in state["buffer"].items():
        vars(buffer)[name][: len(column)] = np.asarray(column)
    buffer.pos, buffer.full = state["position"], state["full"]
    model._n_updates = state["updates"]


def _optimizers(model: SAC) -> dict[str, torch.optim.Optimizer]:
    temperature = model.ent_coef_optimizer
    assert temperature is not None
    actor, critic = model.actor.optimizer, model.critic.optimizer
    return {"actor": actor, "critic": critic, "temperature": temperature}


def _log_temperature(model: SAC) -> torch.Tensor:
    assert model.log_ent_coef is not None
    return model.log_ent_coef


def _moments(optimizer: torch.optim.Optimizer) -> list[dict[str, torch.Tensor]]:
    """Adam's state, one dictionary a parameter; empty before the first update."""
    state = optimizer.state_dict()["state"]
    return [{k: v.clone() for k, v in state[index].items()} for index in sorted(state)]


def _set_moments(optimizer: torch.optim.Optimizer, moments: list[dict[str, Any]]) -> None:
    copies = {i: {k: v.clone() for k, v in each.items()} for i, each in enumerate(moments)}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": copies})
