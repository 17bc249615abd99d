"""Minibatches of which every task has an equal share."""

import numpy as np
import pytest
import torch

from mtlgym.datasets.images.image_tasks import ImageData, ImageTasks
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.envs.routing.trainer import RoutingTrainer, TrainerOptions
from mtlgym.problems.images import ImageProblem
from mtlgym.training.hardware import Hardware
from tests.envs.routing.toy_images import SMALL, problem, split, tasks

TASKS, ROWS, COUNTS = 3, 6, (50, 21, 31)  # COUNTS: training samples of each task


def unequal():
    """Tasks of unlike sizes, whose samples come in no order; every image is a sample's own."""
    data, rng, made = tasks(), np.random.default_rng(5), problem()
    full = split(rng, (False, True, False), 240, 2)
    own = [np.flatnonzero(full.task == t)[:count] for t, count in enumerate(COUNTS)]
    kept = rng.permutation(np.concatenate(own))
    train = ImageTasks(full.images, full.index[kept], full.task[kept], full.label[kept])
    kinds = ImageData(data.tasks, data.classes, {**data.splits, "train": train})
    return ImageProblem("toy", kinds, made.source)


def drawn(seed=0, minibatches=10, made=None, **options):
    """The indices of the training samples in the first minibatches, (minibatches, rows)."""
    made = made or unequal()
    given = TrainerOptions(**{"batch_size": ROWS, "balanced": True, **options})
    found = []

    class Noted(ImageProblem):
        def samples(self, split, indices):
            found.append(indices.copy())
            return super().samples(split, indices)

    made = Noted(made.name, made.data, made.source)
    training = RoutingTrainer(made, network, given, Hardware(), seed)
    for _ in range(minibatches):
        training.begin()
    return np.array(found), training


def network():
    return RoutingVectorEnv(problem(), 1, **SMALL).router.configuration.build()


def test_row_r_of_every_minibatch_is_of_task_r_modulo_the_tasks():
    made = unequal()
    found, _ = drawn(minibatches=25, made=made)
    of_row = made.data.splits["train"].task[found]
    assert np.array_equal(of_row, np.tile(np.arange(ROWS) % TASKS, (25, 1)))


@pytest.mark.parametrize("rows", [3, 6, 12])
def test_an_epoch_is_what_the_task_of_the_fewest_samples_fills_and_repeats_no_sample(rows):
    batches = min(COUNTS) // (rows // TASKS)
    found, training = drawn(minibatches=3 * batches, batch_size=rows)
    assert training.batches == batches
    for epoch in found.reshape(3, -1):
        assert len(set(epoch.tolist())) == epoch.size
    assert TrainerOptions(batch_size=rows, balanced=True).batches(np.array(COUNTS)) == batches
    assert TrainerOptions(batch_size=rows).batches(np.array(COUNTS)) == sum(COUNTS) // rows
    env = RoutingVectorEnv(unequal(), rows, balanced=True, epochs=7, **SMALL)
    assert env.router.budget == 7 * batches


def test_every_sample_of_a_task_comes_as_often_as_any_other_over_many_epochs():
    epochs, batches = 60, min(COUNTS)
    found, _ = drawn(minibatches=epochs * batches, batch_size=TASKS)
    made = unequal()
    times = np.bincount(found.reshape(-1), minlength=sum(COUNTS))
    for t, count in enumerate(COUNTS):
        share = times[made.data.splits["train"].task == t] / epochs
        spread = np.sqrt(min(COUNTS) / count * (1 - min(COUNTS) / count) / epochs)
        assert np.abs(share - min(COUNTS) / count).max() <= 4.5 * spread


def test_the_order_is_the_seeds_alone_and_another_in_every_epoch():
    first, _ = drawn(seed=1, minibatches=20)
    assert np.array_equal(first, drawn(seed=1, minibatches=20)[0])
    assert not np.array_equal(first, drawn(seed=2, minibatches=20)[0])
    assert not np.array_equal(first[:10], first[10:])


def test_without_it_the_order_is_one_permutation_of_all_samples_an_epoch():
    found, training = drawn(seed=3, minibatches=34, balanced=False)
    assert training.batches == 17
    for epoch, part in enumerate(found.reshape(2, -1)):
        order = np.random.default_rng([3, 1, epoch]).permutation(sum(COUNTS))
        assert np.array_equal(part, order[: 17 * ROWS])


def test_a_training_of_balanced_minibatches_goes_on_as_it_was(tmp_path):
    made, other = (RoutingVectorEnv(unequal(), ROWS, balanced=True, **SMALL) for _ in range(2))
    made.reset(seed=0)
    for action in np.random.default_rng(0).integers(0, TASKS, (50, ROWS)):
        made.step(action)
    made.save(tmp_path / "run")
    other.load(tmp_path / "run")
    for env in (made, other):
        for action in np.random.default_rng(1).integers(0, TASKS, (10, ROWS)):
            env.step(action)
    ends = [env.router.trainer.model.state_dict() for env in (made, other)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    plain = RoutingVectorEnv(unequal(), ROWS, **SMALL)
    with pytest.raises(ValueError, match="balanced"):
        plain.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("rows", "text"), [(4, "multiple of the tasks, 3, .*not 4"), (66, "at most 63, .*not 66")]
)
def test_a_minibatch_that_cannot_be_shared_out_is_refused(rows, text):
    with pytest.raises(ValueError, match=text):
        RoutingEnv(unequal(), batch_size=rows, balanced=True, **SMALL)
