"""Rewards: pure functions of the records before and after a step."""

from collections.abc import Callable

import torch

from mtlgym.record import Record

Reward = Callable[[Record, Record], float]


def min_loss_decline(before: Record, after: Record) -> float:
    """The least of the tasks' loss declines, in units of L_base; 0 until L_base is known.

    r_t = alpha min_i (L_t,i - L_{t+1,i}) / L_base,i with alpha = lr_0 / lr_t.

    The two losses are those of consecutive batches, so the reward carries batch noise.

    Source: Dai et al. (UAI 2023), eq. 4.
    """
    return _alpha(before) * float(_declines(before, after).min())


def mean_loss_decline(before: Record, after: Record) -> float:
    """As `min_loss_decline`, with the mean over the tasks instead of the minimum.

    Source: Dai et al. (UAI 2023), Table 3, "reward / min".
    """
    return _alpha(before) * float(_declines(before, after).mean())


def plain_min_loss_decline(before: Record, after: Record) -> float:
    """As `min_loss_decline`, without the factor alpha.

    Source: Dai et al. (UAI 2023), Table 3, "reward / alpha".
    """
    return float(_declines(before, after).min())


def prediction_gain(before: Record, after: Record) -> float:
    """The mean decline of the trained losses on the same batch, in the losses' unit.

    r_t = L(x, theta_t) - L(x, theta_{t+1}); it needs one more forward pass a step.

    Source: Graves et al. (ICML 2017), section 3.2; Glover and Hokamp (2019), section 3.2.
    Differs from it in that, where a step trains several tasks, their mean is taken.
    """
    assert after.trained is not None and after.retrained is not None, "needs the batch again"
    return float((after.trained - after.retrained).mean())


def improvement(before: Record, after: Record) -> float:
    """1 - e^-L if the task's loss L fell since the task was last chosen, else 0; in [0, 1].

    It is 0 when a task is chosen for the first time.

    Source: Glover and Hokamp (2019), eq. 16.
    Differs from it in that, where a step trains all tasks, their mean is taken.
    """
    if after.task is None:
        fell = after.losses < before.losses
        return float(torch.where(fell, 1 - torch.exp(-after.losses), 0.0).mean())
    loss = after.losses[after.task]
    if after.previous is None or loss >= after.previous:
        return 0.0
    return float(1 - torch.exp(-loss))


REWARDS: dict[str, Reward] = {
    "improvement": improvement,
    "mean_loss_decline": mean_loss_decline,
    "min_loss_decline": min_loss_decline,
    "plain_min_loss_decline": plain_min_loss_decline,
    "prediction_gain": prediction_gain,
}
NEEDS_BASE_LOSSES = (min_loss_decline, mean_loss_decline, plain_min_loss_decline)
NEEDS_SAME_BATCH = (prediction_gain,)


def _alpha(record: Record) -> float:
    return record.first_lr / record.lr if record.lr > 0 else 0.0  # lr 0 changes nothing


def _declines(before: Record, after: Record) -> torch.Tensor:
    if before.base_losses is None:
        return torch.zeros_like(before.losses)
    return (before.losses.double() - after.losses) / before.base_losses
