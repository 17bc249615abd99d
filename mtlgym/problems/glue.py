"""The eight tasks of GLUE that language models are compared on, by one shared encoder."""

from collections.abc import Sequence
from functools import cache, lru_cache, partial
from os import PathLike
from pathlib import Path

from mtlgym import checks
from mtlgym.datasets import sources, text_mix
from mtlgym.datasets.glue import glue
from mtlgym.datasets.sources import Source
from mtlgym.datasets.texts import SPLITS, Texts
from mtlgym.datasets.tokens import Tokens, cached, key, tokenise
from mtlgym.models.pretrained import BERT_BASE, pretrained
from mtlgym.models.text_encoder import Tokeniser, scratch
from mtlgym.problems import text
from mtlgym.problems.problem import Problem


def build(
    data: str = "auto",
    tasks: Sequence[str] | None = None,
    encoder: str | None = None,
    max_length: int = 256,
    validation: int = 1000,
    dropout: float = 0.1,
    layers: int = 12,
    width: int = 768,
    attention_heads: int = 12,
) -> Problem:
    """GLUE as Glover and Hokamp train it: a shared BERT and one linear layer for each task.

    The losses are negative log likelihoods in nats, and for STS-B the mean squared error of the
    score, 0 to 5. A batch is padded to its longest sample. Tokens are kept in files, in the folder
    `tokens` beside the data's. The tasks of the real files are `cola` (Matthews correlation),
    `mnli`, `qnli`, `rte` and `sst2` (accuracy), `mrpc` and `qqp` (accuracy and F1) and `stsb`
    (Pearson's and Spearman's correlation).

    Source: Glover and Hokamp (2019), section 4.2; Wang et al. (ICLR 2019) for the tasks.
    Differs from it in that `test` is GLUE's dev set, as the labels of its own test set are secret,
    and `val` a part of the training set that is not trained on; in that MNLI is measured on the
    matched dev set alone; in that a batch is of samples of about equal length; and in that without
    the real files the embedded text tasks are trained, by an encoder from scratch unless one is
    named.

    Args:
        data: `auto`, `real` or `embedded`.
        tasks: which of the tasks, in this order; all by default.
        encoder: a model's name on the Hugging Face hub, or a local folder; by default BERT-base
            (uncased) for the real data and an untrained one for the embedded.
        max_length: tokens of the longest sample; longer ones are cut.
        validation: the most samples that are held out of a task's training set, a tenth at most.
        dropout: of the vector that the tasks' linear layers see; in the encoder itself it is as
            the encoder says.
        layers: of an encoder from scratch.
        width: of an encoder from scratch.
        attention_heads: of an encoder from scratch; they divide `width`.

    Raises:
        ValueError: for an unknown, repeated or missing task, or a number that is not allowed.
        OSError: if a file or the encoder is not there; says how to get it.
    """
    checks.integer("max_length", max_length, least=1, most=checks.SIZE)
    checks.integer("validation", validation, least=1)
    if not isinstance(encoder, str | PathLike | None):
        raise ValueError(f"`encoder` must be a model's name or a folder, not {encoder!r}")
    checks.fraction("dropout", dropout)
    folder = sources.choose(data, "glue")
    if folder is None:
        form = {"layers": layers, "width": width, "attention_heads": attention_heads}
        return _embedded(tasks, encoder, int(max_length), dropout, form)
    names = checks.tasks(tuple(glue.TASKS) if tasks is None else tasks, glue.TASKS)
    chosen = pretrained(BERT_BASE if encoder is None else encoder)
    chosen.check(max_length)
    tokens = {
        task: _tokens(folder, task, chosen.tokeniser, int(max_length), int(validation))
        for task in names
    }
    source = Source("glue", "real", folder, glue.digest(folder, names))
    return text.text_problem(
        "glue", [glue.TASKS[n] for n in names], tokens, chosen, dropout, source
    )


def _embedded(
    tasks: Sequence[str] | None,
    encoder: str | None,
    max_length: int,
    dropout: float,
    form: dict[str, int],
) -> Problem:
    """The problem over the embedded tasks; by default with an encoder of that form."""
    names = checks.tasks(tuple(text_mix.TASKS) if tasks is None else tasks, text_mix.TASKS)
    _, vocabulary, source = text_mix.load(names)
    if encoder is None:
        chosen = scratch(tuple(vocabulary), max_length=max_length, **form)
    else:
        chosen = pretrained(encoder)
    chosen.check(max_length)
    tokens = {task: _mixed(task, chosen.tokeniser, max_length) for task in names}
    return text.text_problem(
        "glue", [text_mix.TASKS[n] for n in names], tokens, chosen, dropout, source
    )


@lru_cache(maxsize=len(text_mix.TASKS))
def _mixed(task: str, tokeniser: Tokeniser, max_length: int) -> dict[str, Tokens]:
    """An embedded task's tokens by split; tokenising takes longer than reading."""
    texts = text_mix.load([task])[0][task]
    encode = partial(tokeniser.encode, max_length)
    return {split: tokenise(each, encode) for split, each in texts.items()}


def _tokens(
    folder: Path, task: str, tokeniser: Tokeniser, max_length: int, validation: int
) -> dict[str, Tokens]:
    """A task's tokens by split, from the cache if they are in it."""
    # Read once, and only if a split is not there.
    read = cache(lambda: glue.load(folder, [task], validation)[task])
    whole = key(
        files=glue.digest(folder, [task]),
        tokenizer=tokeniser.identity,
        max_length=max_length,
        validation=validation,
        version=1,
    )
    encode = partial(tokeniser.encode, max_length)
    places = {split: sources.root() / "tokens" / f"{task}-{split}-{whole}" for split in SPLITS}

    def texts(split: str) -> Texts:
        return read()[split]

    return {s: cached(place, partial(texts, s), encode) for s, place in places.items()}
