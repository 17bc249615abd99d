"""Tiny encoders in the files that pretrained ones come in."""

from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
)

from mtlgym.datasets import text_mix

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def save_encoder(folder, kind="bert", pooler=True):
    """Save an encoder and its tokenizer there; give the encoder."""
    vocabulary = text_mix.load(["wn_order"])[1]
    pieces = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary)})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, **SPECIAL)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        if kind == "bert":
            model: Any = BertModel(
                BertConfig(
                    vocab_size=len(vocabulary),
                    hidden_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=32,
                ),
                add_pooling_layer=pooler,
            )
        elif kind == "gpt2":
            model = GPT2Model(
                GPT2Config(vocab_size=len(vocabulary), n_embd=16, n_layer=1, n_head=2)
            )
        else:
            model = DistilBertModel(
                DistilBertConfig(
                    vocab_size=len(vocabulary), dim=16, n_layers=1, n_heads=2, hidden_dim=32
                )
            )
    model.save_pretrained(folder)
    return model
