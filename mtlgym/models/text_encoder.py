"""Text encoders by transformers, their tokenisers, and the model around one."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from tokenizers import BertWordPieceTokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from mtlgym import checks


@dataclass(frozen=True, eq=False)
class Tokeniser:
    """Turns texts into tokens.

    Attributes:
        fast: a tokenizer of transformers' fast kind.
    """

    fast: Any

    @property
    def identity(self) -> str:
        """What stands for all that decides how a text becomes tokens, but for the length."""
        whole = json.loads(self.fast.backend_tokenizer.to_str())
        # These two are left over from the last call.
        return json.dumps({k: v for k, v in whole.items() if k not in ("padding", "truncation")})

    def encode(
        self, max_length: int, first: Sequence[str], second: Sequence[str] | None
    ) -> tuple[Any, Any]:
        """Token ids and types of each sample, cut to `max_length`, the longer text first."""
        pairs = () if second is None else (list(second),)
        found = self.fast(
            list(first),
            *pairs,
            truncation="longest_first",
            max_length=max_length,
            return_token_type_ids=True,
            return_attention_mask=False,
        )
        return found["input_ids"], found["token_type_ids"]


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder and its tokeniser.

    Attributes:
        tokeniser: of the texts that it reads.
        longest: most tokens that it takes, None for as many as it is made for.
        build: makes the module; parameters that are not pretrained are drawn from torch's default
            generator.
        width: length of a token's vector.
        digest: SHA-256 of the pretrained parameters, empty for none.
    """

    tokeniser: Tokeniser
    build: Callable[[], nn.Module]
    width: int
    longest: int | None
    digest: str = ""

    def check(self, max_length: int) -> None:
        """Refuse samples that are too long for it, or that have no room for a text.

        Raises:
            ValueError: names `max_length`, and what is allowed.
        """
        least = self.tokeniser.fast.num_special_tokens_to_add(pair=True) + 1
        if self.longest is None:
            checks.integer("max_length", max_length, least)
        elif not least <= max_length <= self.longest:
            raise ValueError(
                f"`max_length` must be an integer from {least} to {self.longest} for this encoder, "
                f"not {max_length}"
            )


def scratch(
    vocabulary: tuple[str, ...], *, layers: int, width: int, attention_heads: int, max_length: int
) -> Encoder:
    """An untrained BERT over a lower-case WordPiece vocabulary.

    Source: Devlin et al. (NAACL 2019); 12 layers of width 768 with 12 heads are BERT-base.

    Args:
        vocabulary: the pieces in the order of their ids, `[PAD]` the first.
        layers: of the encoder.
        width: of a token's vector; the feed-forward layers are four times as wide.
        attention_heads: of a layer; they divide `width`.
        max_length: tokens of the longest sample.

    Raises:
        ValueError: for a number that is not allowed, or if the heads do not divide the width.
    """
    for name, value in (("layers", layers), ("width", width), ("attention_heads", attention_heads)):
        checks.integer(name, value, least=1, most=checks.SIZE)
    if width % attention_heads:
        raise ValueError(
            f"`width` must be a multiple of `attention_heads`, not {width} for {attention_heads}"
        )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=int(width),
        num_hidden_layers=int(layers),
        num_attention_heads=int(attention_heads),
        intermediate_size=4 * int(width),
        max_position_embeddings=max_length,
    )
    build = partial(BertModel, config, add_pooling_layer=False)
    return Encoder(word_pieces(vocabulary), build, int(width), None)


@cache  # so that the same vocabulary is the same tokeniser, whose tokens are made once
def word_pieces(vocabulary: tuple[str, ...]) -> Tokeniser:
    """BERT's lower-case WordPiece over this vocabulary."""
    pieces = BertWordPieceTokenizer({piece: index for index, piece in enumerate(vocabulary)})
    fast = PreTrainedTokenizerFast(
        tokenizer_object=pieces._tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    return Tokeniser(fast)


class FirstToken(nn.Module):
    """The vector that an encoder ends with at a text's first token."""

    def __init__(self, encoder: nn.Module, dropout: float) -> None:
        """Take the encoder; `dropout` is the share of the vector that is dropped in training."""
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self._typed = "token_type_ids" in inspect.signature(encoder.forward).parameters

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """(samples, width) from (samples, tokens) each; `mask` is 1 where there is a token."""
        typed = {"token_type_ids": types} if self._typed else {}
        found = self.encoder(input_ids=ids, attention_mask=mask, **typed)
        return self.dropout(found.last_hidden_state[:, 0])


class TextModel(nn.Module):
    """A shared encoder and one linear layer a task.

    Source: Glover and Hokamp (2019), section 4.2.
    """

    def __init__(self, encoder: Encoder, outputs: Sequence[int], dropout: float) -> None:
        """Take the encoder; `outputs` are the classes of each task, 1 for a score."""
        super().__init__()
        self.trunk = FirstToken(encoder.build(), dropout)
        self.heads = nn.ModuleList(nn.Linear(encoder.width, size) for size in outputs)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor, task: int) -> Tensor:
        """The task's logits or scores, (samples, outputs)."""
        return self.heads[task](self.trunk(ids, mask, types))
