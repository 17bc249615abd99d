"""Problems over texts: batches, losses, metrics, the cache of tokens, and their encoders."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from mtlgym.datasets import text_mix
from mtlgym.datasets.texts import Texts, TextTask
from mtlgym.datasets.tokens import MANIFEST, Tokens, cached, key, tokenise
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.problems import build
from mtlgym.problems.text import POOL, TEXT_METRICS, TextSplit, measure, predict, task_loss
from tests.datasets.glue.glue_files import write, write_hub
from tests.models.text_models import save_encoder

TINY: dict[str, Any] = {"layers": 1, "width": 16, "attention_heads": 2}


def make(id, **options) -> Any:
    return gym.make(id, **options).unwrapped


def mixed(**options):
    return build("glue", {"data": "embedded", **options})


def tokens(lengths):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(1, starts[-1] + 1, dtype=np.int32)
    types = np.concatenate([np.arange(n) >= n // 2 for n in lengths]).astype(np.uint8)
    return Tokens(ids, types, starts, np.arange(len(lengths)))


def words(first, second):
    pairs = [
        (a.split(), b.split()) for a, b in zip(first, second or [""] * len(first), strict=True)
    ]
    ids = [[len(word) for word in (*a, *b)] for a, b in pairs]
    return ids, [[0] * len(a) + [1] * len(b) for a, b in pairs]


@pytest.mark.parametrize("size", [5, 64, 203, 16 * POOL * 2 + 3])
def test_an_epoch_is_a_permutation_with_batches_of_about_equal_lengths(size):
    rng = np.random.default_rng(0)
    split = TextSplit([tokens(rng.integers(2, 60, size))])
    order = split.order(0, 16, np.random.default_rng(1))
    assert np.array_equal(np.sort(order), np.arange(size))
    assert np.array_equal(order, split.order(0, 16, np.random.default_rng(1)))
    assert not np.array_equal(order, split.order(0, 16, np.random.default_rng(2)))
    whole = size // 16
    if whole < 8:
        return
    lengths = split.tokens[0].lengths
    spread = np.ptp(lengths[order[: 16 * whole]].reshape(whole, 16), axis=1)
    plain = np.ptp(lengths[: 16 * whole].reshape(whole, 16), axis=1)
    assert spread.mean() < plain.mean() / 3
    means = lengths[order[: 16 * whole]].reshape(whole, 16).mean(axis=1)
    assert not np.array_equal(means, np.sort(means))  # batches come in any order


def test_a_batch_is_padded_to_its_longest_sample():
    batch = TextSplit([tokens([2, 5, 3])]).batch(0, np.array([2, 0]), 0)
    assert batch.ids.tolist() == [[8, 9, 10], [1, 2, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.types.tolist() == [[0, 1, 1], [0, 1, 0]]
    assert batch.labels.tolist() == [2, 0]


def test_padding_changes_no_output():
    problem = mixed(**TINY)
    torch.manual_seed(0)
    model = problem.build().eval()
    split = problem.splits["val"]
    together = split.batch(1, np.arange(6), 0)
    with torch.no_grad():
        joint = model(together.ids, together.mask, together.types, 1)
        for i in range(6):
            one = split.batch(1, np.array([i]), 0)
            alone = model(one.ids, one.mask, one.types, 1)
            torch.testing.assert_close(joint[i], alone[0], atol=1e-5, rtol=1e-4)


def fixed(outputs):
    """A model that gives these outputs, sample by sample of a batch of first ids."""
    table = torch.tensor(outputs)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parameter = torch.nn.Parameter(torch.zeros(1))

        def forward(self, ids, *others):
            return table[ids[:, 0] - 1]

    return Model()


def test_losses_are_log_likelihoods_and_squared_errors():
    outputs = [[0.5, -1.0, 2.0], [0.0, 1.0, 0.0]]
    classes = TextSplit([labelled(2, 0)]).batch(0, np.arange(2), 0)
    expected = functional.cross_entropy(torch.tensor(outputs), torch.tensor([2, 0]))
    torch.testing.assert_close(task_loss(fixed(outputs), classes, 0), expected)
    scores = TextSplit([labelled(np.float32(1), np.float32(3))])
    found = task_loss(fixed([[0.5], [5.0]]), scores.batch(0, np.arange(2), 0), 0)
    assert found.item() == pytest.approx((0.25 + 4.0) / 2)


def labelled(*labels):
    """Samples of one token, which is their number from 1."""
    ids = np.arange(1, len(labels) + 1, dtype=np.int32)
    return Tokens(ids, np.zeros(len(ids), np.uint8), np.arange(len(ids) + 1), np.array(labels))


def test_metrics_are_measured_in_the_samples_order_in_percent():
    rng = np.random.default_rng(0)
    size = 150
    lengths = rng.integers(1, 9, size)
    labels, outputs = rng.integers(0, 2, size), rng.normal(size=(size, 2))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.repeat(np.arange(1, size + 1), lengths).astype(np.int32)
    split = TextSplit([Tokens(ids, np.zeros_like(ids, np.uint8), starts, labels)])
    model = fixed(outputs.tolist())
    assert np.array_equal(predict(model, split, 0), outputs.argmax(axis=1))
    task = TextTask("x", ("no", "yes"), False, ("accuracy", "f1", "matthews"))
    predicted = outputs.argmax(axis=1)
    assert measure((task,), model, split) == pytest.approx(
        {
            "x/accuracy": 100 * np.mean(predicted == labels),
            "x/f1": 100 * metrics.f1_score(labels, predicted),
            "x/matthews": 100 * np.corrcoef(labels, predicted)[0, 1],
        }
    )


def test_correlations_follow_scores_and_are_zero_for_constants():
    scores = np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    assert TEXT_METRICS["spearman"](scores, scores**3) == pytest.approx(1.0)
    assert TEXT_METRICS["pearson"](scores, 7 - 2 * scores) == pytest.approx(-1.0)
    for name in ("pearson", "spearman"):
        assert TEXT_METRICS[name](scores, np.ones(4)) == 0.0
        assert TEXT_METRICS[name](scores, np.full(4, np.nan)) == 0.0
    assert TEXT_METRICS["f1"](np.zeros(3, int), np.zeros(3, int)) == 0.0


TEXTS = Texts(["a bb", "ccc"], ["dddd", "e f"], np.array([1, 0]))


def test_tokens_are_made_once_and_mapped_into_memory(tmp_path):
    made = []

    def make():
        made.append(1)
        return TEXTS

    first, second = (cached(tmp_path / "x", make, words) for _ in range(2))
    assert len(made) == 1
    for found in (first, second):
        assert isinstance(found.ids, np.memmap)
        plain = tokenise(TEXTS, words)
        for name, values in vars(plain).items():
            assert np.array_equal(values, getattr(found, name))
    assert first.ids.tolist() == [1, 2, 4, 3, 1, 1]
    assert first.types.tolist() == [0, 0, 1, 0, 1, 1]
    assert first.lengths.tolist() == [3, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x"]


def test_damaged_tokens_are_refused_by_name_and_broken_writes_leave_nothing(tmp_path):
    cached(tmp_path / "x", lambda: TEXTS, words)
    path = tmp_path / "x" / "types.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"types\.npy is damaged"):
        cached(tmp_path / "x", lambda: TEXTS, words)

    def failing(first, second):
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cached(tmp_path / "y", lambda: TEXTS, failing)
    assert not (tmp_path / "y").exists()
    (tmp_path / "z").mkdir()  # a folder without its manifest is no cache
    assert len(cached(tmp_path / "z", lambda: TEXTS, words).labels) == 2
    assert (tmp_path / "z" / MANIFEST).exists()


def test_a_key_stands_for_its_values():
    assert key(a=1, b="x") == key(b="x", a=1) != key(a=2, b="x")


@pytest.fixture
def glue(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    save_encoder(tmp_path / "encoder")
    return tmp_path


@pytest.mark.parametrize("layout", ["tsv", "hub"])
def test_glue_trains_on_files_by_a_local_encoder(glue, layout):
    write(glue / "glue") if layout == "tsv" else write_hub(glue / "glue")
    options: dict[str, Any] = {
        "encoder": str(glue / "encoder"),
        "steps": 16,
        "batch_size": 4,
        "validation": 2,
    }
    env = make("MTL-GLUE-v0", data="real", **options)
    observation, info = env.reset(seed=0)
    assert observation.shape == (24,)
    assert info["data"] == "real"
    assert info["task_sizes"].sum() == 8 * 22
    for step in range(16):
        observation, _, terminated, truncated, info = env.step(step % 8)
        assert observation in env.observation_space
    assert (terminated, truncated) == (False, True)
    values = env.evaluate("test")
    assert set(values) == {metric.key for metric in env.problem.metrics}
    assert "mrpc/f1" in values
    assert "stsb/spearman" in values
    assert len(list((glue / "tokens").iterdir())) == 24
    before = {p: p.stat().st_mtime_ns for p in (glue / "tokens").rglob("*.npy")}
    make("MTL-GLUE-v0", data="real", **options)
    assert before == {p: p.stat().st_mtime_ns for p in (glue / "tokens").rglob("*.npy")}


def test_one_task_is_enough_and_missing_ones_are_named(glue):
    write(glue / "glue", ["rte"])
    options: dict[str, Any] = {
        "data": "real",
        "encoder": str(glue / "encoder"),
        "steps": 2,
        "batch_size": 4,
    }
    env = make("MTL-GLUE-v0", tasks=["rte"], **options)
    env.reset(seed=0)
    assert env.action_space.n == 1
    env.step(0)
    with pytest.raises(FileNotFoundError, match="tasks="):
        make("MTL-GLUE-v0", **options)


@pytest.mark.parametrize("name", ["nowhere/no-encoder", "/no/such/folder"])
def test_an_encoder_that_is_not_there_says_how_to_get_it(name):
    with pytest.raises(OSError, match=r"`encoder` .* is not there.*hf download.*local folder"):
        mixed(**{"encoder": name, "tasks": ["wn_order"]})


def test_an_encoder_without_token_types_works(tmp_path):
    save_encoder(tmp_path, kind="distilbert")
    options: dict[str, Any] = {"encoder": str(tmp_path), "tasks": ["wn_wic"], "max_length": 8}
    problem: Any = mixed(**options)
    env: Any = TrainingEnv(problem, interface="tasks", steps=2, batch_size=4, validate_every=0)
    env.reset(seed=0)
    env.step(0)
    assert problem.splits["train"].tokens[0].lengths.max() == 8
    assert np.isfinite(env.step(0)[1])


def test_a_pretrained_encoder_starts_from_its_weights_every_time(tmp_path):
    saved = save_encoder(tmp_path)
    problem = mixed(**{"encoder": str(tmp_path), "tasks": ["wn_order"]})
    env: Any = TrainingEnv(
        problem, interface="tasks", steps=3, batch_size=4, validate_every=0, lr=0.1
    )
    for seed in range(2):
        env.reset(seed=seed)
        found = env.episode.learner.model.trunk.encoder.embeddings.word_embeddings.weight
        assert torch.equal(found, saved.embeddings.word_embeddings.weight)
        env.step(0)
        assert not torch.equal(found, saved.embeddings.word_embeddings.weight)


def test_without_real_files_the_text_mix_is_trained_from_scratch():
    env = make("MTL-GLUE-v0", data="embedded", steps=2, **TINY)
    env.reset(seed=0)
    assert env.problem.tasks == tuple(text_mix.TASKS)
    assert sum(p.numel() for p in env.episode.learner.model.parameters()) < 200_000


def test_the_published_size_is_that_of_bert_base():
    problem = build("glue", {"data": "embedded"})
    with torch.device("meta"):
        trunk: Any = problem.build().trunk
    layers = sum(p.numel() for p in trunk.encoder.encoder.parameters())
    assert layers == 85_054_464  # the encoder layers of BERT-base


def test_weighing_all_text_tasks_at_once_works_with_a_gradient_method():
    env = make(
        "MTL-TextMix-v0", interface="weights", aggregator="mgda", steps=2, batch_size=4, **TINY
    )
    _, info = env.reset(seed=0)
    for _ in range(2):
        _, _, terminated, _, info = env.step(np.zeros(8, np.float32))
        assert not terminated
    assert info["losses"].shape == (8,)


def test_a_text_run_goes_on_bit_for_bit(tmp_path):
    options: dict[str, Any] = {
        "steps": 8,
        "batch_size": 4,
        "validate_steps": 4,
        "validate_every": 1,
        **TINY,
    }
    envs = [make("MTL-TextMix-v0", **options) for _ in range(3)]
    for env, steps in zip(envs, (8, 3, 0), strict=True):
        env.reset(seed=3)
        for step in range(steps):
            env.step(step)
    envs[1].save(tmp_path / "state")
    envs[2].load(tmp_path / "state")
    for step in range(3, 8):
        envs[2].step(step)
    states = [env.episode.learner.model.state_dict() for env in (envs[0], envs[2])]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["wn_ordre"]}, "Did you mean 'wn_order'"),
        ({"tasks": []}, "`tasks`"),
        ({"max_length": 0}, "`max_length`"),
        ({"max_length": 3}, "`max_length` must be an integer of at least 4, not 3"),
        ({"dropout": 1.0}, "`dropout`"),
        ({"width": 0}, "`width`"),
        ({"width": 10, "attention_heads": 4}, "`width` must be a multiple of `attention_heads`"),
    ],
)
def test_what_makes_no_text_problem_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mixed(**options)


def test_an_encoder_takes_no_more_tokens_than_it_has_positions(tmp_path):
    save_encoder(tmp_path)
    with pytest.raises(ValueError, match="`max_length` must be an integer from 4 to 512"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"], max_length=600)


def test_loading_an_encoder_draws_nothing_from_the_global_stream(tmp_path, capfd):
    save_encoder(tmp_path, pooler=False)
    capfd.readouterr()
    before = torch.get_rng_state()
    first, second = (mixed(encoder=str(tmp_path), tasks=["wn_order"]) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert len(first.pretrained) == 64
    assert first.pretrained == second.pretrained
    assert capfd.readouterr() == ("", "")


def test_an_encoder_without_a_vocabulary_is_refused(tmp_path):
    save_encoder(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"`encoder` .*(tokenizer|cannot be loaded)"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"])


def test_an_encoder_whose_weights_do_not_fit_is_refused(tmp_path):
    save_encoder(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(ValueError, match=r"lacks 16 of its parameters, such as encoder\.layer\.1"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"])
    path.write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(ValueError, match="cannot be loaded"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"])


def test_damaged_weights_are_refused_by_the_folder_s_name(tmp_path):
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=f"`encoder` folder '{tmp_path}' cannot be loaded"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"])


def test_a_decoder_is_refused(tmp_path):
    save_encoder(tmp_path, kind="gpt2")
    with pytest.raises(ValueError, match="as a decoder does"):
        mixed(encoder=str(tmp_path), tasks=["wn_order"])


def test_an_empty_manifest_checks_nothing_and_is_refused(tmp_path):
    cached(tmp_path / "x", lambda: TEXTS, words)
    for content in ("{}", "{", "[]", "[1]"):
        (tmp_path / "x" / MANIFEST).write_text(content)
        with pytest.raises(ValueError, match="is damaged"):
            cached(tmp_path / "x", lambda: TEXTS, words)
