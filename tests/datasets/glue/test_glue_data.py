import builtins
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.audit import audit
from mtlgym.datasets.glue import glue
from mtlgym.datasets.texts import SPLITS
from tests.datasets.glue.glue_files import (
    CLASSES,
    LAYOUT,
    SIZES,
    change,
    lines,
    put,
    rewrite,
    samples,
    tsv,
    write,
    write_hub,
)


def same(one, other):
    return (
        one.first == other.first
        and one.second == other.second
        and one.labels.dtype == other.labels.dtype
        and np.array_equal(one.labels, other.labels)
    )


def all_same(one, other):
    return one.keys() == other.keys() and all(
        same(one[task][split], other[task][split]) for task in one for split in SPLITS
    )


def test_the_tasks_are_the_papers_with_the_hubs_classes_and_their_metrics():
    assert list(glue.TASKS) == sorted(glue.TASKS) == list(LAYOUT)
    assert {name: list(task.labels) for name, task in glue.TASKS.items()} == CLASSES
    assert {name for name, task in glue.TASKS.items() if not task.pairs} == {"cola", "sst2"}
    assert {name: task.metrics for name, task in glue.TASKS.items() if name in LAYOUT} == {
        "cola": ("matthews",),
        "mrpc": ("accuracy", "f1"),
        "qqp": ("accuracy", "f1"),
        "stsb": ("pearson", "spearman"),
        **dict.fromkeys(("mnli", "qnli", "rte", "sst2"), ("accuracy",)),
    }


@pytest.mark.parametrize("task", LAYOUT)
def test_texts_and_labels_are_read_back_as_they_were(tmp_path, task):
    write(tmp_path, [task])
    found = glue.load(tmp_path, [task])[task]
    texts, labels = zip(*samples(task, "dev"), strict=True)
    second = [each[1] for each in texts] if len(texts[0]) == 2 else None
    assert list(found["test"].first) == [each[0] for each in texts]
    assert found["test"].second == second
    assert found["test"].labels.dtype == (np.float32 if task == "stsb" else np.int64)
    assert found["test"].labels.tolist() == list(labels)


@pytest.mark.parametrize("files", [1, 2])
def test_both_layouts_give_the_same(tmp_path, files):
    write(tmp_path / "tsv")
    write_hub(tmp_path / "hub", files=files)
    tasks = list(LAYOUT)
    assert all_same(glue.load(tmp_path / "tsv", tasks), glue.load(tmp_path / "hub", tasks))


def test_carriage_returns_before_line_feeds_change_nothing(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "other", end="\r\n")
    assert all_same(glue.load(tmp_path / "one"), glue.load(tmp_path / "other"))


def test_a_last_line_may_lack_its_line_feed(tmp_path):
    write(tmp_path, ["cola"])
    before = glue.load(tmp_path, ["cola"])
    path = tsv(tmp_path, "cola", "train")
    path.write_bytes(path.read_bytes()[:-1])
    assert all_same(before, glue.load(tmp_path, ["cola"]))


@pytest.mark.parametrize("name", ["SST-2", "SST2", "sst2", "Sst_2"])
def test_a_folder_may_be_spelt_otherwise(tmp_path, name):
    write(tmp_path, ["sst2"])
    (tmp_path / "SST-2").rename(tmp_path / name)
    assert len(glue.load(tmp_path, ["sst2"])["sst2"]["test"].labels) == SIZES["dev"]


def test_a_tenth_of_the_training_file_is_held_out_and_the_rest_keeps_its_order(tmp_path):
    write(tmp_path)
    for task, found in glue.load(tmp_path).items():
        whole = [(*texts, label) for texts, label in samples(task, "train")]
        parts = {}
        for split in ("train", "val"):
            some = found[split]
            columns = (some.first, some.second) if some.second is not None else (some.first,)
            parts[split] = list(zip(*columns, some.labels.tolist(), strict=True))
            assert parts[split] == [sample for sample in whole if sample in parts[split]]
        assert len(parts["val"]) == SIZES["train"] // 10
        assert sorted(parts["train"] + parts["val"]) == sorted(whole)


def test_no_more_is_held_out_than_asked_for_and_always_the_same(tmp_path):
    write(tmp_path)
    two, one = glue.load(tmp_path), glue.load(tmp_path, validation=1)
    assert all(len(one[task]["val"].labels) == 1 for task in LAYOUT)
    assert all(one[task]["val"].first[0] in two[task]["val"].first for task in LAYOUT)
    assert all_same({"rte": two["rte"]}, glue.load(tmp_path, ["rte"]))
    held = {tuple(text.split()[-2] for text in two[task]["val"].first) for task in LAYOUT}
    assert len(held) > 1  # each task has its own


@pytest.mark.parametrize("part", SIZES)
@pytest.mark.parametrize("task", ["cola", "mnli"])
def test_a_missing_file_is_named_and_so_is_the_way_without_it(tmp_path, task, part):
    write(tmp_path, ["cola", "mnli", "rte"])
    path = tsv(tmp_path, task, part)
    path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        glue.load(tmp_path, ["rte", task])
    text = str(caught.value)
    assert f"the task {task!r} needs {path.parent.name}/{path.name} or {task}/" in text
    assert sources.DATASETS["glue"].remedy in text
    assert f"tasks={[name for name in ('cola', 'mnli', 'rte') if name != task]}" in text
    assert list(glue.load(tmp_path, ["rte"])) == ["rte"]


def test_where_no_task_is_complete_no_other_is_suggested(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'sst2' needs SST-2/train.tsv") as caught:
        glue.load(tmp_path / "none", ["sst2"])
    assert "tasks=" not in str(caught.value)


@pytest.mark.parametrize("task", [task for task in LAYOUT if task != "qqp"])
@pytest.mark.parametrize("extra", [1, -1])
def test_a_line_with_a_wrong_number_of_columns_is_named(tmp_path, task, extra):
    write(tmp_path, [task])
    path, wanted = tsv(tmp_path, task, "train"), len(LAYOUT[task][1].split())
    change(path, 3, ["x"] * (wanted + extra))
    message = f"train.tsv, line 3: must have {wanted} columns, not {wanted + extra}"
    with pytest.raises(ValueError, match=message):
        glue.load(tmp_path, [task])


def test_questions_with_a_line_break_are_left_out_of_qqp_and_counted(tmp_path):
    write(tmp_path, ["qqp"])
    before = glue.load(tmp_path, ["qqp"])["qqp"]["test"]
    path = tsv(tmp_path, "qqp", "dev")
    change(path, 3, ["1", "2", "3", '"Who is it?\n"', "Who?", "0"])
    with pytest.warns(UserWarning, match=r"left out 2 lines .* the 6 columns; .* line 3"):
        after = glue.load(tmp_path, ["qqp"])["qqp"]["test"]
    assert list(after.first) == [before.first[i] for i in (0, 2, 3, 4)]
    change(path, 5, ["x"] * 7)
    with pytest.raises(ValueError, match=r"dev.tsv, line 5: must have 6 columns, not 7"):
        glue.load(tmp_path, ["qqp"])


@pytest.mark.parametrize("task", [task for task in LAYOUT if task != "stsb"])
def test_an_unknown_label_is_named_with_those_that_are_known(tmp_path, task):
    write(tmp_path, [task])
    first, *_ = lines(task, "dev")
    index = LAYOUT[task][1].split().index(LAYOUT[task][2][-1])
    row = ["x"] * len(first)
    row[index] = "-"
    path = tsv(tmp_path, task, "dev")
    change(path, 4, row)
    known = ", ".join(CLASSES[task])
    with pytest.raises(ValueError, match=f"{path.name}, line 4: unknown label '-'. Known: {known}"):
        glue.load(tmp_path, [task])


@pytest.mark.parametrize("score", ["5.001", "-0.1", "nan", "inf", "much", ""])
def test_a_score_out_of_range_is_named(tmp_path, score):
    write(tmp_path, ["stsb"])
    change(tsv(tmp_path, "stsb", "dev"), 2, ["0", "a", "b", score])
    message = rf"dev.tsv, line 2: the score must be a number in \[0, 5\], not '{score}'"
    with pytest.raises(ValueError, match=message):
        glue.load(tmp_path, ["stsb"])


@pytest.mark.parametrize("task", LAYOUT)
def test_a_file_without_samples_is_named(tmp_path, task):
    write(tmp_path, [task])
    path = tsv(tmp_path, task, "dev")
    path.write_bytes(b"" if task == "cola" else path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(ValueError, match=f"{path.name} has no samples"):
        glue.load(tmp_path, [task])


def test_an_empty_file_a_missing_column_and_a_single_sample_are_named(tmp_path):
    write(tmp_path, ["rte", "sst2", "cola"])
    tsv(tmp_path, "rte", "dev").write_bytes(b"")
    with pytest.raises(ValueError, match=r"RTE/dev.tsv, line 1: no column 'sentence1'"):
        glue.load(tmp_path, ["rte"])
    change(tsv(tmp_path, "sst2", "train"), 1, ["text", "label"])
    with pytest.raises(ValueError, match=r"'sentence' in the header. Has: text, label"):
        glue.load(tmp_path, ["sst2"])
    put(tsv(tmp_path, "cola", "train"), [["x", "1", "", "A text."]])
    with pytest.raises(ValueError, match=r"CoLA/train.tsv must have at least 2 samples"):
        glue.load(tmp_path, ["cola"])


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    write(tmp_path, ["rte"])
    path = tsv(tmp_path, "rte", "dev")
    path.write_bytes(path.read_bytes().replace(b"rte dev 2", b"rt\xe9 dev 2"))
    with pytest.raises(ValueError, match=r"RTE/dev.tsv is not UTF-8"):
        glue.load(tmp_path, ["rte"])


def test_other_tasks_and_numbers_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"unknown task 'sst'. Did you mean 'sst2'\?"):
        glue.load(tmp_path, ["sst"])
    with pytest.raises(ValueError, match="each once"):
        glue.load(tmp_path, ["rte", "rte"])
    with pytest.raises(ValueError, match="`validation` must be an integer of at least 1, not 0"):
        glue.load(tmp_path, ["rte"], validation=0)


def test_tsv_files_win_over_the_hubs_where_a_task_has_both(tmp_path):
    write(tmp_path, ["cola"])
    write_hub(tmp_path, ["cola", "rte"])
    change(tsv(tmp_path, "cola", "dev"), 1, ["x", "1", "", "Mine."])
    found = glue.load(tmp_path, ["cola", "rte"])
    assert found["cola"]["test"].first[0] == "Mine."
    assert len(found["rte"]["test"].labels) == SIZES["dev"]
    tsv(tmp_path, "cola", "train").unlink()  # then the hub's, which are complete
    assert glue.load(tmp_path, ["cola"])["cola"]["test"].first[0] != "Mine."


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        ("rte", {"label": [0, 1, -1, 1, 0]}, r"row 2: unknown label -1. Known: 0, 1"),
        ("rte", {"label": [0, None, 1, 1, 0]}, "row 1: unknown label None"),
        ("stsb", {"label": [0.0, 1, 2, -1, 3]}, "row 3: the score must be a number .* not -1.0"),
        ("sst2", {"sentence": ["a", "b", "c", "d", None]}, "row 4: must hold texts"),
        ("sst2", {"sentence": [1, 2, 3, 4, 5]}, "row 0: must hold texts"),
        ("sst2", {"sentence": None}, "must have a column 'sentence'; it has"),
    ],
)
def test_a_bad_row_of_the_hubs_is_named(tmp_path, task, columns, message):
    write_hub(tmp_path, [task])
    rewrite(tmp_path, task, **columns)
    with pytest.raises(ValueError, match=f"validation-00000-of-00001.parquet.*{message}"):
        glue.load(tmp_path, [task])


def test_a_damaged_and_a_missing_file_of_the_hubs_are_named(tmp_path):
    write_hub(tmp_path, ["rte"], files=2)
    path = tmp_path / "rte" / "train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"train-00001-of-00002.parquet is damaged"):
        glue.load(tmp_path, ["rte"])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-00001-of-00002.parquet is missing"):
        glue.load(tmp_path, ["rte"])


def test_without_pyarrow_the_extra_is_named_and_tsv_files_are_read(tmp_path, monkeypatch):
    write_hub(tmp_path, ["rte"])
    write(tmp_path, ["cola"])
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install \"mtlgym\[glue\]\""):
        glue.load(tmp_path, ["rte"])
    assert list(glue.load(tmp_path, ["cola"])) == ["cola"]


def test_the_digest_is_of_what_is_read_of_the_tasks(tmp_path):
    write(tmp_path, ["cola", "rte"])
    before = glue.digest(tmp_path, ["cola", "rte"])
    assert glue.digest(tmp_path, ["rte", "cola"]) == before != glue.digest(tmp_path, ["rte"])
    text = "".join(
        f"rte/{part} {hashlib.sha256(tsv(tmp_path, 'rte', part).read_bytes()).hexdigest()}\n"
        for part in ("train", "dev")
    )
    assert glue.digest(tmp_path, ["rte"]) == hashlib.sha256(text.encode()).hexdigest()
    change(tsv(tmp_path, "cola", "dev"), 1, ["x", "1", "", "Mine."])
    assert glue.digest(tmp_path, ["cola", "rte"]) != before
    write_hub(tmp_path, ["rte"])  # which is not read
    assert len(glue.digest(tmp_path, ["rte"])) == 64
    with pytest.raises(FileNotFoundError, match="'sst2' needs"):
        glue.digest(tmp_path, ["sst2"])


@pytest.mark.parametrize("writer", [write, write_hub])
@pytest.mark.parametrize("task", LAYOUT)
def test_one_task_makes_the_set_real(tmp_path, monkeypatch, task, writer):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    assert sources.find("glue") is None
    writer(tmp_path / "glue", [task])
    assert sources.choose("auto", "glue") == tmp_path / "glue"


def test_an_audit_reads_every_file_that_is_there_and_names_the_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    folder = tmp_path / "glue"
    write(folder, ["cola", "sst2"])
    tsv(folder, "sst2", "train").unlink()
    write_hub(folder, ["rte"])
    assert audit("glue")[folder] == ""
    rewrite(folder, "rte", label=[0, 1, 2, 1, 0])
    assert "rte/validation-00000-of-00001.parquet, row 2: unknown label 2" in audit("glue")[folder]
    change(tsv(folder, "sst2", "dev"), 2, ["x", "2"])
    assert "SST-2/dev.tsv, line 2: unknown label '2'" in audit("glue")[folder]


@pytest.mark.parametrize(
    ("task", "train", "dev"),
    [("cola", 8551, 1043), ("rte", 2490, 277), ("sst2", 67349, 872), ("stsb", 5749, 1500)],
)
def test_the_real_files_have_the_published_sizes(task, train, dev):
    folder = Path(os.environ.get("MTLGYM_DATA", "nowhere")) / "glue"
    if not tsv(folder, task, "train").exists():
        pytest.skip("GLUE's files are not there")
    found = glue.load(folder, [task])[task]
    assert len(found["train"].labels) + len(found["val"].labels) == train
    assert len(found["val"].labels) == min(1000, train // 10)
    assert len(found["test"].labels) == dev


@pytest.mark.parametrize("end", ["\n", "\r\n\r\n"])
def test_empty_lines_at_the_end_are_left_out_and_others_are_not(tmp_path, end):
    write(tmp_path, ["sst2"])
    path = tmp_path / "SST-2" / "dev.tsv"
    whole = path.read_bytes()
    before = glue.load(tmp_path, ["sst2"])["sst2"]["test"].first
    path.write_bytes(whole + end.encode())
    assert glue.load(tmp_path, ["sst2"])["sst2"]["test"].first == before
    path.write_bytes(whole + end.encode() + b"a film\t1\n")
    with pytest.raises(ValueError, match=r"dev\.tsv, line 7: must have 2 columns, not 1"):
        glue.load(tmp_path, ["sst2"])
