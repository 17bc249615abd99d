import copy

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.testing import assert_close

from mtlgym.datasets.frames import FrameBatch
from mtlgym.problems import build
from mtlgym.problems.dense_losses import OBJECTIVES
from mtlgym.problems.dense_metrics import BINS, METERS, METRICS, angles, median
from mtlgym.problems.nyuv2 import TASKS, FrameSplit
from mtlgym.training.validation import measure

OPTIONS = {
    "data": "embedded",
    "filters": [4, 6],
    "height": 24,
    "width": 32,
    "rooms": [6, 5, 4],
}
KEYS = [metric.key for metric in METRICS]


@pytest.fixture(scope="module")
def problem():
    return build("nyuv2", OPTIONS)


@pytest.fixture
def model(problem):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return problem.build()


@pytest.fixture(scope="module")
def batch(problem):
    return problem.splits["train"].batch(0, np.arange(4), 0)


def hidden(batch, **changes):
    """The batch with other values in some fields."""
    return FrameBatch(**{**vars(batch), **changes})


def nothing_known(batch):
    return hidden(
        batch,
        label=torch.full_like(batch.label, -1),
        depth=torch.zeros_like(batch.depth),
        normal=torch.zeros_like(batch.normal),
    )


def test_tasks_metrics_and_splits_are_as_published(problem):
    assert problem.tasks == TASKS == ("segmentation", "depth", "normal")
    assert [metric.key for metric in problem.metrics] == [
        "segmentation/miou",
        "segmentation/pixel_accuracy",
        "depth/abs_err",
        "depth/rel_err",
        "normal/mean",
        "normal/median",
        "normal/within_11.25",
        "normal/within_22.5",
        "normal/within_30",
    ]
    higher = [metric.higher_is_better for metric in problem.metrics]
    assert higher == [True, True, False, False, False, False, True, True, True]
    assert [problem.splits[name].sizes for name in ("train", "val", "test")] == [(6,), (5,), (4,)]


def test_batches_have_channels_first(batch):
    assert batch.image.shape == batch.normal.shape == (4, 3, 24, 32)
    assert batch.label.shape == (4, 24, 32)
    assert batch.depth.shape == (4, 1, 24, 32)


def test_only_training_batches_are_augmented_and_by_their_seed_alone(problem):
    train, val = problem.splits["train"], problem.splits["val"]
    indices = np.array([3, 1])
    assert torch.equal(train.batch(0, indices, 1).image, train.batch(0, indices, 1).image)
    assert not torch.equal(train.batch(0, indices, 1).image, train.batch(0, indices, 2).image)
    assert torch.equal(val.batch(0, indices, 1).image, val.batch(0, indices, 2).image)
    plain = build("nyuv2", {**OPTIONS, "augment": False}).splits["train"]
    assert torch.equal(plain.batch(0, indices, 1).image, train.read(indices).image)


def test_losses_are_those_worked_out_by_hand():
    logits = torch.zeros(1, 13, 1, 3)
    logits[0, 4, 0, 0] = np.log(12.0)  # probability 12 / 24
    batch = FrameBatch(
        image=torch.zeros(1, 3, 1, 3),
        label=torch.tensor([[[4, 7, -1]]]),
        depth=torch.tensor([[[[2.0, 0.0, 4.0]]]]),
        normal=torch.tensor([[0.0, 1.0, 0.0], [0.6, -1.0, 0.0], [-0.8, 0.0, 0.0]])[None, :, None]
        / 1,
    )
    batch = hidden(batch, normal=torch.nn.functional.normalize(batch.normal, dim=1))
    loss = OBJECTIVES["segmentation"].loss(logits, batch)
    assert_close(loss, torch.tensor((np.log(2) + np.log(13)) / 2).float())
    depth = torch.tensor([[[[2.5, 100.0, 3.0]]]])
    assert_close(OBJECTIVES["depth"].loss(depth, batch), torch.tensor(0.75))
    normal = torch.tensor([[0.0, 5.0, 1.0], [0.0, 0.0, 1.0], [-3.0, 0.0, 1.0]])[None, :, None]
    # cosines: 0.8 and 1 / sqrt(2), whose components cancel in sum: known all the same
    expected = torch.tensor(1 - (0.8 + 0.5**0.5) / 2)
    assert_close(OBJECTIVES["normal"].loss(normal, batch), expected, check_dtype=False)


def test_each_loss_alone_is_that_of_all(problem, model, batch):
    losses = problem.losses(model.eval(), batch)
    assert losses.shape == (3,)
    assert (losses > 0).all()
    for task in range(3):
        assert_close(problem.task_loss(model, batch, task), losses[task])


def test_a_task_alone_leaves_the_other_heads_alone(problem, model, batch):
    problem.task_loss(model, batch, 1).backward()
    assert [head[0].weight.grad is None for head in model.heads] == [True, False, True]


@pytest.mark.parametrize("task", range(3))
def test_without_any_truth_a_loss_and_its_gradient_are_zero(problem, model, batch, task):
    loss = problem.losses(model, nothing_known(batch))[task]
    assert loss == 0
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_unknown_pixels_have_no_influence(problem, batch):
    generator = torch.Generator().manual_seed(0)
    for task, objective in OBJECTIVES.items():
        output = torch.randn(4, objective.channels, 24, 32, generator=generator)
        known = {
            "segmentation": batch.label >= 0,
            "depth": batch.depth[:, 0] > 0,
            "normal": batch.normal.norm(dim=1) > 0,
        }[task]
        other = torch.where(known[:, None], output, 1e3 * output)
        assert torch.equal(objective.loss(output, batch), objective.loss(other, batch))
        for mode in METERS.values():
            first, second = mode[task](), mode[task]()
            first.add(output, batch), second.add(other, batch)
            assert first.values() == second.values()


def test_perfect_predictions_have_no_loss_and_the_best_metrics(batch):
    logits = 100 * torch.nn.functional.one_hot(batch.label.clamp(min=0), 13).movedim(-1, 1).float()
    outputs = {"segmentation": logits, "depth": batch.depth, "normal": 7 * batch.normal}
    for task, output in outputs.items():
        loss = OBJECTIVES[task].loss(output, batch)
        assert 0 <= loss < 1e-6
        meter = METERS["pooled"][task]()
        meter.add(output, batch)
        for name, value in meter.values().items():
            metric = next(m for m in METRICS if m.key == f"{task}/{name}")
            assert value == pytest.approx(1 if metric.higher_is_better else 0, abs=0.01)


def test_a_normal_of_no_length_has_a_finite_loss_and_gradient(batch):
    output = torch.zeros_like(batch.normal, requires_grad=True)
    loss = OBJECTIVES["normal"].loss(output, batch)
    assert loss == 1
    loss.backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_every_loss_falls_when_it_is_trained_on(problem, model, batch):
    before = problem.losses(model, batch).detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        problem.losses(model, batch).log().sum().backward()
        optimizer.step()
    assert (problem.losses(model, batch) < 0.8 * before).all()


def test_batched_gradients_of_the_losses_equal_those_of_a_loop(problem, model, batch):
    model = model.double()
    exact = FrameBatch(
        batch.image.double(), batch.label, batch.depth.double(), batch.normal.double()
    )
    losses = problem.losses(model, exact)
    parameters = list(model.trunk.parameters())
    looped = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    eye = torch.eye(3, dtype=torch.float64)
    batched = torch.autograd.grad(losses, parameters, eye, is_grads_batched=True)
    for gradient, *rows in zip(batched, *looped, strict=True):
        assert_close(gradient, torch.stack(rows), rtol=1e-6, atol=1e-9)


def test_losses_can_be_had_through_a_functional_call(problem, model, batch):
    class Called(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, frames):
            return problem.losses(self.model, frames)

    called = Called().eval()
    state = {name: 1.5 * value for name, value in called.state_dict().items()}
    other = copy.deepcopy(model).eval()
    other.load_state_dict({name: 1.5 * value for name, value in model.state_dict().items()})
    assert_close(functional_call(called, state, (batch,)), problem.losses(other, batch))


def test_the_confusion_matrix_gives_the_metrics_worked_out_by_hand():
    label = torch.tensor([[[0, 0, 1, 1, 2, -1]]])
    found = torch.tensor([[[0, 1, 1, 1, 3, 5]]])
    image, depth = torch.zeros(1, 3, 1, 6), torch.zeros(1, 1, 1, 6)
    meter = METERS["pooled"]["segmentation"]()
    for part in (slice(3), slice(3, 6)):  # the sum over batches counts
        logits = torch.nn.functional.one_hot(found[..., part], 13).movedim(-1, 1).float()
        image_, depth_ = image[..., part], depth[..., part]
        meter.add(logits, FrameBatch(image_, label[..., part], depth_, image_))
    # classes 0: 1/2, 1: 2/3, 2: 0/1, 3: 0/1; class 5 is predicted where nothing is known
    assert meter.values() == {
        "miou": pytest.approx((1 / 2 + 2 / 3) / 4),
        "pixel_accuracy": pytest.approx(3 / 5),
    }


def some(size, seed=0):
    """Two batches of random depths and normals, with predictions."""
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for count in size:
        depth = torch.rand(count, 1, 5, 7, generator=rng) * 4
        depth[depth < 1] = 0
        normal = torch.nn.functional.normalize(torch.randn(count, 3, 5, 7, generator=rng), dim=1)
        normal *= (torch.rand(count, 1, 5, 7, generator=rng) > 0.2).float()
        label = torch.randint(-1, 13, (count, 5, 7), generator=rng)
        image = torch.zeros(count, 3, 5, 7)
        noise = torch.randn(count, 3, 5, 7, generator=rng)
        batches.append((FrameBatch(image, label, depth, normal), normal + 0.4 * noise))
    return batches


def degrees(output, frames):
    """The angles of the known pixels, by the textbook's formula."""
    known = (frames.normal != 0).any(1)
    unit = output.double() / output.double().norm(dim=1, keepdim=True)
    cosine = (unit * frames.normal.double()).sum(1)[known]
    return np.degrees(np.arccos(cosine.clamp(-1, 1).numpy()))


def test_pooled_metrics_are_of_all_pixels_together():
    batches = some((2, 1))
    normal, depth = METERS["pooled"]["normal"](), METERS["pooled"]["depth"]()
    for frames, output in batches:
        normal.add(output, frames)
        depth.add(output[:, :1], frames)
    every = np.concatenate([degrees(output, frames) for frames, output in batches])
    found = normal.values()
    assert found["mean"] == pytest.approx(every.mean(), abs=1e-3)
    assert (
        abs(found["median"] - np.median(every))
        < np.diff(np.sort(every))[len(every) // 2 - 2 :][:4].sum() + 0.01
    )
    for bound in ("11.25", "22.5", "30"):
        assert found[f"within_{bound}"] == pytest.approx((every < float(bound)).mean())
    truth = torch.cat([f.depth.flatten() for f, _ in batches])
    error = (torch.cat([o[:, 0].flatten() for _, o in batches]) - truth).abs()[truth > 0]
    assert depth.values()["abs_err"] == pytest.approx(float(error.mean()))
    assert depth.values()["rel_err"] == pytest.approx(float((error / truth[truth > 0]).mean()))


def test_mtan_metrics_are_means_over_batches():
    batches = some((2, 1))
    normal, depth = METERS["mtan"]["normal"](), METERS["mtan"]["depth"]()
    alone = []
    for frames, output in batches:
        normal.add(output, frames)
        depth.add(output[:, :1], frames)
        single = METERS["pooled"]["normal"](), METERS["pooled"]["depth"]()
        single[0].add(output, frames)
        single[1].add(output[:, :1], frames)
        alone.append({**single[0].values(), **single[1].values()})
    found = {**normal.values(), **depth.values()}
    for name, value in found.items():
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2)
    pooled = METERS["pooled"]["normal"]()
    for frames, output in batches:
        pooled.add(output, frames)
    assert pooled.values()["mean"] != pytest.approx(found["mean"], abs=1e-4)


def test_the_median_is_exact_to_a_bin():
    values = np.random.default_rng(0).gamma(2, 10, 100_001)
    bins = (values * BINS / 180).astype(int)
    found = median(np.bincount(bins, minlength=BINS)) * 180 / BINS
    assert found == pytest.approx(np.median(values), abs=0.01)


def test_small_and_large_angles_are_exact():
    exact = torch.tensor([0.0, 0.01, 1.0, 90.0, 179.0, 180.0], dtype=torch.float64)
    turned = torch.stack([exact.deg2rad().cos(), exact.deg2rad().sin(), torch.zeros(6)])
    first = torch.tensor([1.0, 0, 0])[:, None].expand(3, 6)
    found = angles(3 * turned.float()[None, :, None], first[None, :, None])
    assert_close(found.flatten(), exact.float(), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("metrics", ["pooled", "mtan"])
def test_measuring_sees_every_frame_once_as_it_is(metrics):
    problem = build("nyuv2", {**OPTIONS, "metrics": metrics})
    seen = []

    class Watching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, image):
            seen.append(image)
            return [
                torch.rand(len(image), c, 24, 32, generator=torch.Generator()) for c in (13, 1, 3)
            ]

    values = measure(problem, Watching(), "train")
    assert list(values) == KEYS
    assert all(np.isfinite(value) and type(value) is float for value in values.values())
    assert [len(image) for image in seen] == ([2, 2, 2] if metrics == "mtan" else [6])
    split = problem.splits["train"]
    assert isinstance(split, FrameSplit)
    assert torch.equal(torch.cat(seen), split.read(np.arange(6)).image)


def test_the_last_batch_of_mtan_metrics_is_smaller():
    problem = build("nyuv2", {**OPTIONS, "metrics": "mtan"})
    model = problem.build()
    sizes = []
    model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    measure(problem, model, "val")
    assert sizes == [2, 2, 1]


def test_a_split_without_any_truth_is_named(problem, model, monkeypatch):
    split = problem.splits["val"]
    assert isinstance(split, FrameSplit)
    known = split.read(np.arange(5))
    monkeypatch.setattr(
        split, "read", lambda indices: hidden(known, depth=torch.zeros_like(known.depth))
    )
    with pytest.raises(ValueError, match="no pixel of the split has a known truth for 'depth'"):
        measure(problem, model, "val")


@pytest.mark.parametrize("tasks", [["depth"], ["normal", "segmentation"], list(TASKS)[::-1]])
def test_any_tasks_in_any_order_make_a_problem(tasks, batch):
    problem = build("nyuv2", {**OPTIONS, "tasks": tasks})
    model = problem.build()
    assert problem.tasks == tuple(tasks)
    assert problem.losses(model, batch).shape == (len(tasks),)
    channels = {"segmentation": 13, "depth": 1, "normal": 3}
    assert [output.shape[1] for output in model(batch.image)] == [channels[t] for t in tasks]
    values = measure(problem, model, "val")
    assert list(values) == [m.key for m in problem.metrics]
    assert {key.split("/")[0] for key in values} == set(tasks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["dept"]}, "unknown task 'dept'. Did you mean 'depth'"),
        ({"tasks": []}, "at least one task"),
        ({"tasks": ["depth", "depth"]}, "each once"),
        ({"tasks": "depth"}, "must be a sequence of names"),
        ({"filters": []}, "`filters` must be a sequence of integers"),
        ({"filters": [4, 0]}, "`filters` must be an integer of at least 1, not 0"),
        ({"metrics": "pool"}, "'pool'. Did you mean 'pooled'"),
        ({"height": 3}, "`height` must be an integer of at least 4, not 3"),
        ({"width": 2}, "`width` must be an integer of at least 4, not 2"),
        ({"rooms": [1, 2]}, "`rooms` must be three numbers"),
        ({"rooms": [1, 2, 0]}, "`rooms` must be an integer of at least 1"),
        ({"data": "reel"}, "'reel'. Did you mean 'real'"),
    ],
)
def test_options_that_are_not_allowed_are_named(options, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("(", r"\(")):
        build("nyuv2", {**OPTIONS, **options})


def test_real_images_too_small_for_the_network_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    for part in ("train", "val"):
        for i in range(2):
            for kind, shape in (("image", (3,)), ("label", ()), ("depth", (1,)), ("normal", (3,))):
                (tmp_path / "nyuv2" / part / kind).mkdir(parents=True, exist_ok=True)
                np.save(tmp_path / "nyuv2" / part / kind / f"{i}.npy", np.ones((6, 8, *shape)))
    assert build("nyuv2", {"data": "real", "filters": [4, 6]}).source.kind == "real"
    with pytest.raises(ValueError, match=r"`filters` of 3 stages .* 8 x 8 pixels; .* 6 x 8"):
        build("nyuv2", {"data": "real", "filters": [4, 6, 6]})


def test_a_step_at_the_published_size_has_finite_gradients():
    problem = build("nyuv2", {"data": "embedded"})
    sizes = {name: split.sizes for name, split in problem.splits.items()}
    assert sizes == {"train": (795,), "val": (197,), "test": (457,)}
    model = problem.build()
    losses = problem.losses(model, problem.splits["train"].batch(0, np.arange(1), 0))
    losses.log().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
