"""A vocabulary of word pieces."""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
INSIDE = "##"  # before a piece that does not begin a word


def train(texts: Sequence[str], size: int) -> list[str]:
    """The pieces in the order of their indices, split and lower-cased as BERT does it.

    The trainer numbers the letters inside words as it meets them, in an order that differs from
    run to run, and breaks ties by these numbers. Named as special tokens they have fixed ones.
    """
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    parts = [splitter.pre_tokenize_str(normalizer.normalize_str(text)) for text in texts]
    inside = sorted({letter for part in parts for word, _ in part for letter in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=[*SPECIAL, *(INSIDE + letter for letter in inside)],
        continuing_subword_prefix=INSIDE,
    )
    tokenizer.train_from_iterator(texts, trainer)
    index = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(index, key=index.__getitem__)
