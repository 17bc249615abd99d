"""A small valid file of every kind that users bring, and what reads it."""

import gzip
import hashlib
import os
import shutil
import struct
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from mtlgym.agents import OffPolicyLog
from mtlgym.agents.off_policy import log as logged_decisions
from mtlgym.datasets import qm9, sources
from mtlgym.datasets.domains import files, image_lists
from mtlgym.datasets.domains.features import extract
from mtlgym.datasets.formats import arrays, idx, image_cache
from mtlgym.datasets.glue import glue, hub, tsv
from mtlgym.datasets.images import cifar100, mini_imagenet
from mtlgym.datasets.nyuv2 import files as nyuv2_files
from mtlgym.datasets.nyuv2 import hub as nyuv2_hub
from mtlgym.datasets.rooms import rooms
from mtlgym.datasets.texts import Texts
from mtlgym.datasets.tokens import cached
from mtlgym.io import checkpoint, jsonl
from tests.datasets.domains import painted
from tests.datasets.domains.domain_data import features
from tests.datasets.domains.domain_data import write as write_domain
from tests.datasets.formats.pickles import python2
from tests.datasets.glue import glue_files
from tests.datasets.nyuv2 import test_nyuv2_data
from tests.models.tiny_backbones import means

LABELS = np.arange(6) % 3
STATE: dict[Any, Any] = {"a": [1, "x", (None, 0.5)], "b": np.arange(4.0), 3: {"c": True}}


@dataclass(frozen=True)
class Kind:
    """Makes files of a kind in a folder, and reads them."""

    make: Any  # (folder) -> the paths that may be damaged
    read: Any  # (folder) -> what is in them


def cifar(folder):
    names = {b"fine_label_names": [b"x", b"y", b"z"], b"coarse_label_names": [b"g", b"h"]}
    pixels = np.arange(6 * 3072).reshape(6, 3072).astype(np.uint8)
    rows = {b"data": pixels, b"fine_labels": LABELS.tolist(), b"coarse_labels": [0, 1, 1] * 2}
    for name, content in (("meta", names), ("train", rows)):
        (folder / name).write_bytes(python2(content))
    return [folder / "meta", folder / "train"]


def read_cifar(folder):
    return cifar100.read_images(folder / "train", cifar100.read_names(folder / "meta"))


def idx_file(folder, zipped=False):
    values = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
    content = struct.pack(">HBB3I", 0, 8, 3, *values.shape) + values.tobytes()
    (folder / "images").write_bytes(gzip.compress(content) if zipped else content)
    return [folder / "images"]


def lists(folder):
    (folder / "images").mkdir()
    for part in mini_imagenet.PARTS:
        name = f"{part}.png"
        Image.new("RGB", (9, 8), (1, 2, 3)).save(folder / "images" / name)
        (folder / f"{part}.csv").write_text(f"filename,label\n{name},n0{len(part)}\n")
    return sorted(folder.glob("*.csv")) + sorted(folder.glob("images/*"))


def read_lists(folder):
    found = mini_imagenet.find(folder)
    return [image_cache.decode(path, 4) for paths in found.values() for path in paths]


def frames(folder, write=test_nyuv2_data.write):
    views = rooms.Rooms(12, 16)
    write(folder, {"train": [views.frame(0)], "val": [views.frame(1)]})
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


def read_frames(folder):
    found = nyuv2_files.FolderFrames(folder)
    return [found.frame(index) for index in range(sum(found.counts))]


def read_tables(folder):
    return [list(nyuv2_hub.rows(path)) for path in sorted(folder.glob("data/*.parquet"))]


def texts(folder, write=glue_files.write):
    write(folder, ("mnli", "stsb"))
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


def read_texts(folder, layout=tsv):
    return [
        layout.read(path, glue.TASKS[task])
        for task in ("mnli", "stsb")
        for paths in layout.find(folder, task).values()
        for path in paths
    ]


def domain(folder, suffix):
    write_domain(folder / f"art.{suffix}", features(6), LABELS)
    return sorted(folder.iterdir())


def kept(folder):
    digest = arrays.write_arrays(folder / "art.npz", {"features": features(6), "labels": LABELS})
    (folder / "art.npz.sha256").write_text(f"{digest}\n")
    return sorted(folder.iterdir())


def pictures(folder):
    painted.painted(folder)
    Image.new("RGB", (9, 8), (1, 2, 3)).save(folder / "art" / "a" / "3.jpg")
    lines = [f"art/{name} {name[0]}" for name in ("a/1.png", "a/2.png", "a/3.jpg", "b/1.png")]
    (folder / "art.txt").write_text("\n".join(lines))
    return sorted(path for path in folder.rglob("*.*") if path.is_file())


def read_pictures(folder):
    return [image_cache.decode(path, 4) for path in image_lists.find(folder, ["art"]).paths]


def cache(folder):
    painted.painted(folder)
    read_cache(folder)
    return sorted(path for path in folder.glob("decoded*"))


def read_cache(folder):
    paths = image_lists.find(folder, ["art"]).paths
    return np.asarray(image_cache.cached(folder, paths, 4))


def backbone(folder):
    painted.painted(folder)
    place = read_backbone(folder)
    return sorted(place.iterdir())


def read_backbone(folder):
    return extract(folder, painted.domains_of(folder), means())


def log(folder):
    with OffPolicyLog.create(folder / "log", 3, tasks=("a", "b", "c"), policy="p") as written:
        for step in range(5):
            written.write(step % 3, 0.5, 1.0 - step)
    return [folder / "log"]


def open_log(folder):
    with OffPolicyLog.open(folder / "log") as opened:
        return opened.decisions()


def saved(folder):
    checkpoint.save(folder / "saved", STATE)
    return [folder / "saved"]


def read_signed(folder):
    """As somebody would who makes a file with the right sum."""
    path, content = folder / "saved", (folder / "saved").read_bytes()[checkpoint.HEADER :]
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(checkpoint.MAGIC + digest + b"\n" + content)
    return checkpoint.load(path)


def lines(folder):
    written = jsonl.Log(folder / "log.jsonl")
    for step in range(4):
        written.write({"step": step, "losses": [0.5, 1e-3], "agent": "équal"})
    return [folder / "log.jsonl"]


def molecules(folder):
    (folder / "qm9").mkdir()
    path, digest = sources.embedded_file("qm9")
    shutil.copy(path, folder / "qm9" / "qm9.npz")
    (folder / "qm9" / "qm9.npz.sha256").write_text(digest)
    return sorted((folder / "qm9").iterdir())


def read_molecules(folder):
    with patch.dict(os.environ, MTLGYM_DATA=str(folder)):
        return qm9.load("real")


def tokens(folder):
    read_tokens(folder)
    return sorted((folder / "tokens").iterdir())


def read_tokens(folder):
    texts = Texts(["a b", "c"], None, np.array([0, 1]))
    return cached(
        folder / "tokens", lambda: texts, lambda first, second: ([[1, 2], [3]], [[0, 0], [0]])
    )


KINDS = {
    "cifar": Kind(cifar, read_cifar),
    "idx": Kind(idx_file, lambda folder: idx.read(folder / "images", None, 28, 28)),
    "idx zipped": Kind(
        lambda folder: idx_file(folder, zipped=True),
        lambda folder: idx.read(folder / "images", None, 28, 28),
    ),
    "mini-imagenet": Kind(lists, read_lists),
    "nyuv2": Kind(frames, read_frames),
    "nyuv2 hub": Kind(
        lambda folder: frames(folder, test_nyuv2_data.write_hub),
        read_tables,
    ),
    "glue": Kind(texts, read_texts),
    "glue hub": Kind(
        lambda folder: texts(folder, glue_files.write_hub),
        lambda folder: read_texts(folder, hub),
    ),
    "mat": Kind(
        lambda folder: domain(folder, "mat"), lambda folder: files.read(folder / "art.mat")
    ),
    "npz": Kind(
        lambda folder: domain(folder, "npz"), lambda folder: files.read(folder / "art.npz")
    ),
    "npy": Kind(
        lambda folder: domain(folder, "npy"), lambda folder: files.read(folder / "art.npy")
    ),
    "npz with its sum": Kind(kept, lambda folder: files.read_checked(folder / "art.npz")),
    "images": Kind(pictures, read_pictures),
    "decoded images": Kind(cache, read_cache),
    "features": Kind(backbone, read_backbone),
    "log of decisions": Kind(log, lambda folder: logged_decisions.read(folder / "log")),
    "log that is continued": Kind(log, open_log),
    "checkpoint": Kind(saved, lambda folder: checkpoint.load(folder / "saved")),
    "checkpoint with its sum": Kind(saved, read_signed),
    "qm9": Kind(molecules, read_molecules),
    "tokens": Kind(tokens, read_tokens),
    "log of a run": Kind(lines, lambda folder: jsonl.read(folder / "log.jsonl")),
}
