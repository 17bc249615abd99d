import re
import shutil
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from mtlgym.datasets import sources, text_mix
from mtlgym.datasets.texts import SPLITS

TRAIN = {
    "vader_tweets": 1_200,
    "vader_movie": 3_600,
    "vader_amazon": 400,
    "wn_topic15": 3_000,
    "wn_nli3": 5_000,
    "wn_wic": 800,
    "wn_sense": 4_000,
    "wn_order": 2_400,
}
DETERMINER = "(a|an|every|her|his|its|my|no|our|that|the|their|these|this|those|your)"


@pytest.fixture(scope="module")
def mix():
    return text_mix.load()


@pytest.fixture(scope="module")
def texts(mix):
    return mix[0]


def bare(text):
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def samples(texts):
    second = texts.second or [None] * len(texts.first)
    return list(zip(texts.first, second, texts.labels.tolist(), strict=True))


def every_text(texts, split, tasks):
    """Without the word before it where a task puts one there."""
    for task in tasks:
        headed = {"wn_nli3": (True, True), "wn_wic": (True, True), "wn_sense": (False, True)}
        for *pair, _ in samples(texts[task][split]):
            for text, head in zip(pair, headed.get(task, (False, False)), strict=True):
                if text is not None:
                    yield text.split(": ", 1)[1] if head else text


def lemmas(texts, split):
    for task, pairs in (("wn_wic", 0), ("wn_sense", 1)):
        yield from (sample[pairs].split(": ")[0] for sample in samples(texts[task][split]))


def assert_apart(values):
    for one, other in combinations(SPLITS, 2):
        assert not set(values(one)) & set(values(other)), (one, other)


def test_the_tasks_sizes_span_an_order_of_magnitude(texts):
    assert list(texts) == list(text_mix.TASKS) == list(TRAIN)
    for task, splits in texts.items():
        assert [len(splits[split].first) for split in SPLITS] == [TRAIN[task], 300, 300]
    assert max(TRAIN.values()) > 10 * min(TRAIN.values())
    assert sum(TRAIN.values()) == 20_400


@pytest.mark.parametrize("task", text_mix.TASKS)
def test_samples_are_complete_and_have_a_class(texts, task):
    kind = text_mix.TASKS[task]
    assert kind.name == task
    assert kind.metrics
    for part in texts[task].values():
        assert (part.second is not None) == kind.pairs
        assert part.labels.dtype == np.int64
        assert set(part.labels.tolist()) == set(range(len(kind.labels)))
        assert all(text.strip() for sample in samples(part) for text in sample[:2] if text)


@pytest.mark.parametrize("task", text_mix.TASKS)
def test_no_sample_is_there_twice_and_classes_are_as_large_as_each_other(texts, task):
    for part in texts[task].values():
        found = [(bare(first), bare(second or "")) for first, second, _ in samples(part)]
        assert len(set(found)) == len(found)
        counts = np.bincount(part.labels)
        if task == "wn_topic15":
            assert 2 < counts.max() / np.median(counts) < 6
        else:
            assert counts.max() - counts.min() <= 1


def test_no_text_gloss_or_example_is_in_two_splits_of_whatever_tasks(texts):
    assert_apart(lambda split: map(bare, every_text(texts, split, texts)))


def test_no_sentence_is_in_two_splits_whether_swapped_or_not(texts):
    tasks = ("wn_order", "wn_sense", "wn_wic")
    bags = {
        split: {
            tuple(sorted(bare(text).split()))
            for text in every_text(texts, split, tasks)
            if len(text.split()) > 3
        }
        for split in SPLITS
    }
    assert_apart(bags.get)


def test_no_word_of_the_sense_tasks_is_in_two_splits(texts):
    assert_apart(lambda split: lemmas(texts, split))


def test_no_noun_of_the_pairs_with_its_gloss_is_in_two_splits(texts):
    assert_apart(
        lambda split: [text for pair in samples(texts["wn_nli3"][split]) for text in pair[:2]]
    )


def share(texts, task, pattern, label):
    """The share of a label among the training texts that match."""
    part = texts[task]["train"]
    matching = [x for x, text in zip(part.labels, part.first, strict=True) if pattern.search(text)]
    assert len(matching) >= 10
    return np.mean(np.array(matching) == text_mix.TASKS[task].labels.index(label))


@pytest.mark.parametrize(
    ("task", "pattern", "label", "least"),
    [
        ("vader_tweets", r"\b(great|love|thanks)\b", "positive", 0.85),
        ("vader_tweets", r"\b(hate|sucks|worst)\b", "negative", 0.85),
        ("vader_movie", r"\b(moving|masterpiece|delightful)\b", "positive", 0.8),
        ("vader_movie", r"\b(dull|tedious|bland)\b", "negative", 0.8),
        ("vader_amazon", r"\b(love|excellent|perfect)\b", "positive", 0.75),
        ("wn_topic15", r"^(a person|someone) who\b", "person", 0.95),
        ("wn_topic15", r"\b(shrubs?|herbs?|tree)\b", "plant", 0.75),
        ("wn_topic15", r"^the act of\b", "act", 0.85),
        ("wn_order", rf"\b{DETERMINER}$", "swapped", 0.95),
    ],
)
def test_labels_belong_to_their_texts(texts, task, pattern, label, least):
    assert share(texts, task, re.compile(pattern), label) >= least


def test_a_noun_that_the_others_gloss_names_is_its_hypernym(texts):
    counts: dict[str, Counter[int]] = {"first": Counter(), "second": Counter()}
    for first, second, label in samples(texts["wn_nli3"]["train"]):
        (one, gloss), (other, other_gloss) = first.split(": ", 1), second.split(": ", 1)
        named = re.search(rf"\b{re.escape(other)}\b", gloss)
        naming = re.search(rf"\b{re.escape(one)}\b", other_gloss)
        if named and not naming:
            counts["second"][label] += 1
        if naming and not named:
            counts["first"][label] += 1
    hypernym, hyponym, _ = range(3)
    assert counts["second"][hypernym] > 0.9 * counts["second"].total() > 200
    assert counts["first"][hyponym] > 0.9 * counts["first"].total() > 200


def test_examples_use_the_word_that_they_are_about(texts):
    begun = []
    for task in ("wn_wic", "wn_sense"):
        for first, second, _ in samples(texts[task]["train"]):
            lemma = second.split(": ")[0]
            assert task == "wn_sense" or first.startswith(f"{lemma}: ")
            example = first.removeprefix(f"{lemma}: ") if task == "wn_wic" else first
            # inflected words begin as their lemma does, but for irregular ones
            begun.append(any(word.startswith(lemma[:3]) for word in bare(example).split()))
    assert np.mean(begun) > 0.98


def test_the_vocabulary_is_berts_in_form_and_covers_the_texts(mix):
    texts, pieces, _ = mix
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(pieces) == len(set(pieces)) == 6_000
    assert all(piece == piece.lower() for piece in pieces[5:])
    index = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for split in SPLITS:
        encoded = tokenizer.encode_batch(list(every_text(texts, split, texts)))
        counts = Counter(i for each in encoded for i in each.ids)
        assert counts[index["[UNK]"]] <= 0.001 * counts.total()
        if split == "train":
            assert len(counts) > 0.9 * len(pieces)


def test_some_tasks_can_be_had_in_their_own_order(texts):
    chosen, _, source = text_mix.load(["wn_wic", "vader_movie"])
    assert list(chosen) == ["wn_wic", "vader_movie"]
    assert chosen["wn_wic"]["val"].first == texts["wn_wic"]["val"].first
    assert (source.name, source.kind, source.path.name) == ("glue", "embedded", "text_mix.json.gz")
    with pytest.raises(ValueError, match=r"'wn_wik'. Did you mean 'wn_wic'\?"):
        text_mix.load(["wn_wik"])


def test_a_damaged_file_is_refused_by_name(tmp_path, monkeypatch):
    for name in ("text_mix.json.gz", "checksums.json"):
        shutil.copy(sources.EMBEDDED / name, tmp_path)
    path = tmp_path / "text_mix.json.gz"
    content = bytearray(path.read_bytes())
    content[5_000] ^= 1
    path.write_bytes(bytes(content))
    find = sources.embedded_file
    monkeypatch.setattr(sources, "embedded_file", lambda name: find(name, tmp_path))
    with pytest.raises(ValueError, match=r"text_mix\.json\.gz is damaged: expected SHA-256"):
        text_mix.load()
