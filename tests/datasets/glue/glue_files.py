"""Small files of all of GLUE's tasks, with the oddities of the real ones, in both layouts."""

import numpy as np
import pyarrow
from pyarrow import parquet

ODD = 'a "quoted\u2028 text\x85 with \ufeff marks, \r and  spaces '
SIZES = {"train": 24, "dev": 5}
# Of each task: folder, header, and the columns of the texts and the label in that header.
LAYOUT = {
    "cola": ("CoLA", "source label star sentence", ["sentence", "label"]),
    "mnli": (
        "MNLI",
        "index genre sentence1_parse sentence1 sentence2 label1 gold_label",
        ["sentence1", "sentence2", "gold_label"],
    ),
    "mrpc": (
        "MRPC",
        "Quality #1_ID #2_ID #1_String #2_String",
        ["#1_String", "#2_String", "Quality"],
    ),
    "qnli": ("QNLI", "index question sentence label", ["question", "sentence", "label"]),
    "qqp": (
        "QQP",
        "id qid1 qid2 question1 question2 is_duplicate",
        ["question1", "question2", "is_duplicate"],
    ),
    "rte": ("RTE", "index sentence1 sentence2 label", ["sentence1", "sentence2", "label"]),
    "sst2": ("SST-2", "sentence label", ["sentence", "label"]),
    "stsb": ("STS-B", "index sentence1 sentence2 score", ["sentence1", "sentence2", "score"]),
}
HUB = {
    "cola": ["sentence"],
    "mnli": ["premise", "hypothesis"],
    "mrpc": ["sentence1", "sentence2"],
    "qnli": ["question", "sentence"],
    "qqp": ["question1", "question2"],
    "rte": ["sentence1", "sentence2"],
    "sst2": ["sentence"],
    "stsb": ["sentence1", "sentence2"],
}
CLASSES = {
    "cola": ["0", "1"],
    "mnli": ["entailment", "neutral", "contradiction"],
    "mrpc": ["0", "1"],
    "qnli": ["entailment", "not_entailment"],
    "qqp": ["0", "1"],
    "rte": ["entailment", "not_entailment"],
    "sst2": ["0", "1"],
    "stsb": [],
}


def samples(task, part):
    """(texts, label) of each sample of a part; the first text has every oddity."""
    for i in range(SIZES[part]):
        texts = [f"{task} {part} {i} {name}" for name in LAYOUT[task][2][:-1]]
        texts[0] = ODD + texts[0] if i == 0 else texts[0]
        yield texts, i / 8 if task == "stsb" else i % len(CLASSES[task])


def tsv(folder, task, part):
    name = "dev_matched" if (task, part) == ("mnli", "dev") else part
    return folder / LAYOUT[task][0] / f"{name}.tsv"


def lines(task, part):
    """The header, if there is one, and the rows as lists of fields."""
    header, picks = LAYOUT[task][1].split(), LAYOUT[task][2]
    if task != "cola":
        yield [name.replace("_String", " String").replace("_ID", " ID") for name in header]
    for texts, label in samples(task, part):
        spelt = CLASSES[task][label] if CLASSES[task] else f"{label:.3f}"
        fields = dict(zip(picks, [*texts, spelt], strict=True))
        yield [fields.get(name, "*") for name in header]


def put(path, rows, end="\n", start=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = start + "".join("\t".join(row) + end for row in rows)
    path.write_bytes(text.encode())


def write(folder, tasks=tuple(LAYOUT), end="\n"):
    for task in tasks:
        for part in SIZES:
            start = "\ufeff" if task == "mrpc" else ""
            put(tsv(folder, task, part), lines(task, part), end, start)


def table(task, rows, label=None):
    texts, labels = zip(*rows, strict=True)
    kind = pyarrow.float32() if task == "stsb" else pyarrow.int64()
    columns = {name: [each[k] for each in texts] for k, name in reversed([*enumerate(HUB[task])])}
    chosen = pyarrow.array(labels if label is None else label, kind)
    return pyarrow.table({"idx": pyarrow.array(range(len(labels)))} | columns | {"label": chosen})


def write_hub(folder, tasks=tuple(LAYOUT), files=1):
    for task in tasks:
        (folder / task).mkdir(parents=True, exist_ok=True)
        for part, name in (("train", "train"), ("dev", "validation")):
            suffix = "_matched" if (task, part) == ("mnli", "dev") else ""
            for i, some in enumerate(np.array_split(np.arange(SIZES[part]), files)):
                rows = [[*samples(task, part)][k] for k in some]
                path = folder / task / f"{name}{suffix}-{i:05d}-of-{files:05d}.parquet"
                parquet.write_table(table(task, rows), path)


def change(path, at, row):
    """Put another row in the place of line `at`, counted from 1."""
    found = path.read_bytes().decode().split("\n")
    found[at - 1] = "\t".join(row)
    path.write_bytes("\n".join(found).encode())


def rewrite(folder, task, **columns):
    """Write a task's validation table again with other columns."""
    path = folder / task / "validation-00000-of-00001.parquet"
    old = table(task, list(samples(task, "dev")))
    kept = {name: old[name] for name in old.column_names if columns.get(name, old) is not None}
    parquet.write_table(pyarrow.table(kept | {k: v for k, v in columns.items() if v}), path)
