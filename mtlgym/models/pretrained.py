"""Pretrained text encoders: from a folder or the Hugging Face hub, and whether they are whole."""

import copy
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from mtlgym.models.text_encoder import Encoder, FirstToken, Tokeniser

BERT_BASE = "google-bert/bert-base-uncased"


def pretrained(name: str) -> Encoder:
    """An encoder of a local folder, or of the Hugging Face hub (downloaded once, into its cache).

    Raises:
        OSError: if neither has it; says how to get it.
        ValueError: if what is there cannot be loaded whole, has no fast tokenizer that knows words,
            or is no encoder whose first token sees the whole text.
    """
    tokenizer, model = _load(name)
    tokeniser = Tokeniser(tokenizer)
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"`encoder` {name!r} has no fast tokenizer")
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # only the first token's vector is used
    _probe(name, tokeniser, model)
    positions = getattr(model.config, "max_position_embeddings", None) or sys.maxsize
    padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    if padding is not None:
        positions -= padding + 1  # RoBERTa counts its positions from there
    longest = min(int(positions), int(tokenizer.model_max_length))
    # Dropout stays what the encoder's configuration says; train() turns it on.
    build = partial(copy.deepcopy, model.train())
    return Encoder(tokeniser, build, int(model.config.hidden_size), longest, _digest(model))


def _load(name: str) -> tuple[Any, Any]:
    """The tokenizer and the model, all of whose layers but the pooler are in the files."""
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):  # layers that the files lack are drawn
            tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True)
            model, told = AutoModel.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError, SafetensorError) as error:
        said = f"transformers said: {' '.join(str(error).split())[:300]}"
        if Path(name).is_dir():
            raise ValueError(f"`encoder` folder {name!r} cannot be loaded; {said}") from error
        raise OSError(
            f"`encoder` {name!r} is not there: it must be a model's name on the Hugging Face hub, "
            f"which needs a connection the first time (`hf download {name}`), or a local folder "
            f"with config.json, the weights and the tokenizer's files. {said}"
        ) from error
    lacking = sorted(key for key in told["missing_keys"] if not key.startswith("pooler."))
    if lacking:
        raise ValueError(
            f"`encoder` {name!r} lacks {len(lacking)} of its parameters, such as {lacking[0]}"
        )
    return tokenizer, model


def _probe(name: str, tokeniser: Tokeniser, model: Any) -> None:
    """See that two texts which differ in their end differ in tokens and in the first vector."""
    ids, types = tokeniser.encode(64, ["this film is good", "this film is bad"], None)
    if ids[0] == ids[1]:
        raise ValueError(f"`encoder` {name!r} has no tokenizer that tells words apart")
    trunk = FirstToken(model.eval(), 0.0)
    try:
        with torch.no_grad():
            found = [
                trunk(torch.tensor([i]), torch.ones(1, len(i), dtype=torch.long), torch.tensor([t]))
                for i, t in zip(ids, types, strict=True)
            ]
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(
            f"`encoder` {name!r} does not read its tokenizer's texts: {said}"
        ) from error
    if found[0].shape != (1, model.config.hidden_size) or torch.equal(found[0], found[1]):
        raise ValueError(
            f"`encoder` {name!r} gives the first token a vector that the rest of the text does not "
            "change, as a decoder does; an encoder such as BERT is wanted"
        )


def _digest(model: nn.Module) -> str:
    """The SHA-256 of a model's parameters and buffers, with their names."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.contiguous().numpy())
    return found.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and reports of transformers inside."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
