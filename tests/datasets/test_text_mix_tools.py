"""The scripts that build the embedded text tasks, on small inputs."""

import gzip
import io
import re
import tarfile
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from tests import ROOT

TOOLS = ROOT / "tools"
MODULES = ("insults", "meanings", "order", "packages", "recipe", "samples", "sentiment", "usages")
NOUN = (
    "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 003 @ 02083346 n 0000 "
    "@ 01317541 n 0000 ~ 01322604 n 0000 | a member of the genus Canis (probably descended from "
    'the common wolf); "the dog barked all night"; "dogs are \\"good\\""  '
)
NAMED = "10958016 18 n 01 Fido 0 001 @i 02084071 n 0000 | a dog of that name  "
VERB = (
    "00004605 29 v 03 exhale 1 give_forth 0 emanate 0 002 @ 00105333 v 0000 + 15109745 n 0301 "
    '02 + 08 00 + 11 00 | give out (breath or an odor); "The chimney exhales a thick smoke"  '
)
ADJECTIVE = (
    '00015854 00 s 01 galore(ip) 0 001 & 00013887 a 0000 | in great numbers; "daisies galore"  '
)


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        names = (*MODULES, "vocabulary", "wordnet")
        yield SimpleNamespace(**{name: import_module(f"text_mix.{name}") for name in names})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noun(tools, offset, word, gloss, parents=(), examples=(), topic=5, part="n"):
    return tools.wordnet.Synset(part, offset, topic, (word,), parents, False, gloss, examples)


def test_synsets_are_read_as_wordnets_manual_says(tools):
    dog, verb = tools.wordnet.parse(NOUN, "n"), tools.wordnet.parse(VERB, "v")
    assert (dog.offset, dog.topic, dog.parents, dog.instance) == (
        2084071,
        5,
        (2083346, 1317541),
        False,
    )
    assert dog.words == ("dog", "domestic dog", "Canis familiaris")
    assert dog.gloss == "a member of the genus Canis (probably descended from the common wolf)"
    assert dog.examples[0] == "the dog barked all night"
    assert verb.words == ("exhale", "give forth", "emanate")
    assert (verb.gloss, verb.examples) == (
        "give out (breath or an odor)",
        ("The chimney exhales a thick smoke",),
    )
    assert tools.wordnet.parse(ADJECTIVE, "a").words == ("galore",)
    fido = tools.wordnet.parse(NAMED, "n")
    assert fido.instance
    assert fido.parents == fido.examples == ()


def test_files_are_read_without_their_licence(tools):
    licence = "  1 This software and database is being provided to you\n"
    parts = {"noun": NOUN, "verb": VERB, "adj": ADJECTIVE}
    files = {f"data.{part}": f"{licence}{line}\n" for part, line in parts.items()}
    found = list(tools.wordnet.synsets(files | {"data.adv": licence}))
    assert [synset.part for synset in found] == ["n", "v", "a"]


@pytest.mark.parametrize(
    ("word", "part", "lemma"),
    [
        ("dogs", "n", "dog"),
        ("churches", "n", "church"),
        ("women", "n", "woman"),
        ("ladies", "n", "lady"),
        ("exhaled", "v", "exhale"),
        ("barking", "v", "bark"),
        ("tries", "v", "try"),
        ("larger", "a", "large"),
        ("mice", "n", "mouse"),
    ],
)
def test_inflected_words_lead_to_their_lemma(tools, word, part, lemma):
    files = {f"{suffix}.exc": "" for suffix in ("verb", "adj", "adv")}
    exceptions = tools.wordnet.irregular(files | {"noun.exc": "mice mouse\n"})
    assert {word, lemma} <= tools.wordnet.lemmas(word, part, exceptions)


def test_dealt_samples_of_two_splits_share_no_key_and_no_text(tools, rng):
    Sample, Size = tools.samples.Sample, tools.samples.Size
    candidates = {
        "a": [Sample(f"Text {i // 2}!", None, i % 2, (f"key {i // 6}",)) for i in range(240)],
        "b": [Sample(f"text {i}", f"other {i // 3}", i % 3) for i in range(120)],
    }
    sizes = {"a": Size(40, 20), "b": Size(30, 6, classes=3)}
    dealt = tools.samples.deal(candidates, sizes)
    home: dict[str, str] = {}
    for task, splits in dealt.items():
        for split, taken in splits.items():
            assert len(taken) == (sizes[task].train if split == "train" else sizes[task].held)
            counts = np.bincount([sample.label for sample in taken])
            assert counts.max() - counts.min() <= 1
            assert len({sample.texts for sample in taken}) == len(taken)
            for sample in taken:
                for key in (*sample.keys, *(text.lower().strip("!") for text in sample.texts)):
                    assert home.setdefault(key, split) == split


def test_too_few_samples_are_an_error_that_names_the_task(tools):
    samples = [tools.samples.Sample(f"text {i}", None, 0) for i in range(9)]
    sizes = {"a": tools.samples.Size(3, 2, classes=1)}
    assert len(tools.samples.deal({"a": samples}, sizes)["a"]["train"]) == 3
    with pytest.raises(ValueError, match="a has only 2 of 3 samples for train"):
        tools.samples.deal({"a": samples[:6]}, sizes)


def test_rated_texts_are_kept_when_clear_once_and_by_review(tools, rng):
    table = (
        "1_1\t2.5\tA fine &amp; quiet camera.\r\n1_2\t-0.4\tneither here nor there\r\n"
        "1_3\t-1.0\tbattery  died &amp;#38; nobody cared\r\n2_1\t0.5\tgood value\r\n"
        "2_2\t3.0\tWow\r\n3_1\t2.7\tA very fine & quiet camera!!\r\n"
    )
    found = {sample.first: sample for sample in tools.sentiment.samples("shop", table, rng)}
    assert {text: sample.label for text, sample in found.items()} == {
        "A fine & quiet camera.": 1,
        "battery died & nobody cared": 0,
        "good value": 1,
    }
    assert found["battery died & nobody cared"].keys == ("shop 1",)
    assert found["good value"].keys == ("shop 2",)


def test_versions_of_a_text_are_those_that_share_most_of_their_words(tools):
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefgh"), 5)) for _ in range(700)]
    bags = [set(text.split()) for text in texts]
    alone = [
        i
        for i, bag in enumerate(bags)
        if not any(len(bag & bags[j]) / len(bag | bags[j]) >= 0.6 for j in range(i))
    ]
    assert tools.sentiment.originals(texts) == alone


def test_relations_are_those_of_the_synsets(tools, rng):
    family = [noun(tools, 0, "animal", "a living thing that can move about")]
    family += [
        noun(tools, i, f"kind{i}", f"one of many animals, number {i}", (0,)) for i in (1, 2, 3)
    ]
    number = {synset.title: synset.offset for synset in family}
    seen = set()
    for _ in range(30):
        for sample in tools.meanings.relations(family, rng):
            first, second = number[sample.first], number[sample.second]
            expected = 0 if second == 0 else 1 if first == 0 else 2
            assert sample.label == expected
            assert first != second
            seen.add(expected)
    assert seen == {0, 1, 2}


def test_topics_are_the_lexicographer_files_of_the_loaders_labels(tools, rng):
    synsets = [noun(tools, 1, "dog", "a member of the genus", topic=5)]
    synsets += [noun(tools, 2, "top", "what all of them are", topic=3)]
    [sample] = tools.meanings.topics(synsets, rng)
    assert sample.first == "a member of the genus"
    assert tools.meanings.TASKS["wn_topic15"].labels[sample.label] == "animal"


def test_uses_and_glosses_of_a_word_are_paired_by_sense(tools, rng):
    run = "the act of running"
    synsets = [
        noun(tools, 1, "run", run, (), ("he took a morning run", "a run of five miles"), 4),
        noun(tools, 2, "run", "move fast on foot", (), ("she ran to the shop",), 38, "v"),
    ]
    found = tools.usages.usages(synsets, {"n": {}, "v": {"ran": {"run"}}})
    assert [use.synset.part for use in found["run"]] == ["n", "n", "v"]
    for sample in tools.usages.contexts(found, rng):
        assert sample.label == all("morning" in t or "miles" in t for t in sample.texts)
        assert all(text.startswith("run: ") for text in sample.texts)
    for _ in range(10):
        for sample in tools.usages.glosses(synsets, found, rng):
            assert sample.label == (("ran" in sample.first) == ("fast" in sample.second))
            assert "lemma run" in sample.keys


def test_a_swapped_example_differs_by_a_determiner_and_the_next_word(tools, rng):
    example = "put the red box on a shelf"
    synset = noun(tools, 1, "box", "a container", (), (example,))
    seen = {(s.first, s.label) for _ in range(40) for s in tools.order.samples([synset], rng)}
    assert seen == {
        (example, 1),
        ("put red the box on a shelf", 0),
        ("put the red box on shelf a", 0),
    }


def test_texts_with_a_word_that_only_insults_are_found(tools):
    synsets = [
        noun(tools, 1, "grobble", "(ethnic slur) offensive term for a person"),
        noun(tools, 2, "box", "offensive name for a boxer"),
        noun(tools, 3, "box", "a container"),
    ]
    pattern = tools.insults.pattern(synsets)
    assert pattern.search("two Grobbles came")
    assert pattern.search("a disparaging remark")
    assert not pattern.search("two boxes came, on the offensive")


def archive(members, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_both_packages_are_read_with_the_standard_library(tools, tmp_path):
    names = ("usr/share/wordnet/data.noun", "usr/share/wordnet/noun.exc", "usr/share/doc/copyright")
    data = archive(dict.fromkeys(names, b"text"), "w:xz")
    deb = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n1"), ("data.tar.xz", data)):
        deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        deb += content + b"\n" * (len(content) % 2)
    (tmp_path / "x.deb").write_bytes(deb)
    assert tools.packages.wordnet(tmp_path / "x.deb") == {"data.noun": "text", "noun.exc": "text"}

    inner = archive({"h/tweets_GroundTruth.txt": b"1\t2\tx", "h/other.txt": b""}, "w:gz")
    outer = archive({"v/more/hutto_ICWSM_2014.tar.gz": inner}, "w:gz")
    (tmp_path / "v.tar.gz").write_bytes(outer)
    assert tools.packages.vader(tmp_path / "v.tar.gz") == {"tweets": "1\t2\tx"}
    with pytest.raises(ValueError, match="no Debian package"):
        tools.packages.wordnet(tmp_path / "v.tar.gz")


def test_the_vocabulary_is_the_same_at_every_training(tools, rng):
    letters = np.array(list("abcdefghijklmnop"))
    texts = [" ".join("".join(rng.choice(letters, 5)) for _ in range(8)) for _ in range(100)]
    first = tools.vocabulary.train(texts, 200)
    assert len(first) == 200
    assert first[:6] == [*tools.vocabulary.SPECIAL, "##a"]
    assert all(tools.vocabulary.train(texts, 200) == first for _ in range(4))


def test_the_file_has_no_trace_of_time_and_place(tools):
    content = tools.recipe.compressed(b"text")
    assert gzip.decompress(content) == b"text"
    assert content[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # RFC 1952


def test_sizes_are_those_of_the_loaders_tasks(tools):
    assert list(tools.recipe.SIZES) == list(tools.meanings.TASKS)
    assert all(re.fullmatch(r"(vader|wn)_\w+", task) for task in tools.recipe.SIZES)
