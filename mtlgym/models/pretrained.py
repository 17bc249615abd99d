"""Pretrained text encoders: loaded from a folder or the Hugging Face hub, and checked."""

import copy
import sys
from functools import partial
from typing import Any

import torch
from transformers import AutoTokenizer

from mtlgym.models import hub
from mtlgym.models.backbone import digest
from mtlgym.models.text_encoder import Encoder, FirstToken, Tokeniser

BERT_BASE = "google-bert/bert-base-uncased"


def pretrained(name: str) -> Encoder:
    """An encoder of a local folder, or of the Hugging Face hub (downloaded once, into its cache).

    Raises:
        OSError: if neither has it; says how to get it.
        ValueError: if what is there cannot be loaded whole, has no fast tokenizer that knows words,
            or is no encoder whose first token sees the whole text.
    """
    read = partial(AutoTokenizer.from_pretrained, use_fast=True)
    tokenizer, model = hub.load("encoder", name, read, "the tokenizer's files")
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
    return Encoder(tokeniser, build, int(model.config.hidden_size), longest, digest(model))


def _probe(name: str, tokeniser: Tokeniser, model: Any) -> None:
    """Check that two texts which differ in their end differ in tokens and in the first vector."""
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
