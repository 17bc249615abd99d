"""No file that the library reads can make it run code: every way in is tried with a pickle."""

import base64
import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import mtlgym  # noqa: F401, registers the ids
from mtlgym import agents
from mtlgym.agents.off_policy import log
from mtlgym.agents.saving import kept
from mtlgym.datasets import tokens
from mtlgym.datasets.domains import files as domain_files
from mtlgym.datasets.formats import idx, image_cache
from mtlgym.datasets.formats.arrays import read_arrays, sha256
from mtlgym.datasets.images import cifar100
from mtlgym.datasets.nyuv2 import files as nyuv2_files
from mtlgym.envs.bandit.env import BanditEnv
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.io import checked_json, checkpoint, jsonl
from mtlgym.models.backbones import WEIGHTS, efficientnet_lite0
from mtlgym.models.exported import from_export
from mtlgym.models.pretrained import pretrained
from mtlgym.models.vision import from_transformers
from tests.envs.training.toy import toy
from tests.models.text_models import save_encoder
from tests.models.tiny_backbones import save_vit


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.mkdir, (self.mark,)


def array(mark):
    """A `.npy` file's content, with an object in it that does harm."""
    file = io.BytesIO()
    np.save(file, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    return file.getvalue()


def arrays(mark, key="features"):
    file = io.BytesIO()
    np.savez(file, **{key: np.array([Bomb(mark)], dtype=object)})  # type: ignore[arg-type]
    return file.getvalue()


def tensors(mark):
    file = io.BytesIO()
    torch.save({"weight": Bomb(mark)}, file)
    return file.getvalue()


def archive(path, files):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def forged(folder, mark):
    """A kept agent whose tensors are a pickle, and a JSON that has their SHA-256."""
    agents.save(
        folder, agents.UniformRandom(spaces.Discrete(1), spaces.Discrete(2)), spec="uniform"
    )
    content, raw = json.loads((folder / kept.JSON).read_text()), tensors(mark)
    content["tensors_sha256"] = hashlib.sha256(raw).hexdigest()
    put(folder / kept.JSON, checked_json.text(content))
    return put(folder / kept._name(content), raw)


def vouched(path, mark):
    """A checkpoint whose content is a pickle, and that has its SHA-256."""
    raw = tensors(mark)
    return put(path, checkpoint.MAGIC + hashlib.sha256(raw).hexdigest().encode() + b"\n" + raw)


def token_files(folder, mark):
    digests = {n: sha256(put(folder / f"{n}.npy", array(mark))) for n in tokens.ARRAYS}
    put(folder / tokens.MANIFEST, json.dumps(digests).encode())
    return folder / "ids.npy"


def decoded_file(folder, mark):
    put(folder / "image.png", b"")
    listed = image_cache.listing(folder, [folder / "image.png"])
    path = put(folder / f"decoded-4-{listed[:32]}.npy", array(mark))
    put(path.with_name(f"{path.name}.sha256"), sha256(path).encode())
    return path


def model(save, name, folder, mark):
    save(folder)
    (folder / "model.safetensors").unlink()
    put(folder / name, tensors(mark))
    return folder


def zipped(path, mark):
    """A model of Stable-Baselines3, as far as a reader that trusts it gets."""
    bomb = base64.b64encode(pickle.dumps(Bomb(mark))).decode()
    data = {"target_entropy": 1.0, "policy_class": {":type:": "type", ":serialized:": bomb}}
    return archive(path, {"data": json.dumps(data), "policy.pth": tensors(mark)})


def nothing(*parts):
    raise AssertionError("what is there is not read")


def bomb(name, make=lambda mark: pickle.dumps(Bomb(mark))):
    return lambda folder, mark: put(folder / name, make(mark))


def spec(path):
    env = f'counterfactual:log="{path}"'
    return agents.make(env, spaces.Discrete(1), spaces.Discrete(2))


FILES = {  # how the file is made, and who reads it
    "checkpoint": (bomb("file"), checkpoint.load),
    "checkpoint of torch": (bomb("file", tensors), checkpoint.load),
    "checkpoint that vouches": (lambda d, m: vouched(d / "file", m), checkpoint.load),
    "training": (lambda d, m: vouched(d / "file", m), lambda p: TrainingEnv(toy()).load(p)),
    "bandit": (lambda d, m: vouched(d / "file", m), lambda p: BanditEnv().load(p)),
    "log": (bomb("file"), agents.OffPolicyLog.open),
    "decisions": (bomb("file"), log.read),
    "counterfactual": (bomb("file"), spec),
    "agent's JSON": (bomb("kept/agent.json"), lambda p: agents.load(p.parent)),
    "agent's tensors": (
        lambda d, m: forged(d / "kept", m),
        lambda p: agents.load(p.parent),
    ),
    "agent": (bomb("file"), agents.load),
    "method": (bomb("kept/agent.json"), lambda p: agents.method(p.parent)),
    "model in a zip": (lambda d, m: zipped(d / "model.zip", m), agents.load),
    "method in a zip": (lambda d, m: zipped(d / "model.zip", m), agents.method),
    "rows": (bomb("file", lambda mark: pickle.dumps(Bomb(mark)) + b"\n{}\n"), jsonl.read),
    "CIFAR-100": (bomb("meta"), cifar100.read_names),
    "features npy": (
        lambda d, m: put(put(d / "a_labels.npy", array(m)).with_name("a.npy"), array(m)),
        domain_files.read,
    ),
    "features npz": (bomb("a.npz", arrays), domain_files.read),
    "features mat": (bomb("a.mat"), domain_files.read),
    "idx": (bomb("file"), lambda p: idx.read(p, None)),
    "frames": (bomb("0.npy", array), nyuv2_files.read),
    "exported": (
        lambda d, m: archive(d / "a.pt2", {"a/data/weights/w.pt": tensors(m)}),
        from_export,
    ),
    "backbone": (
        lambda d, m: put(d / WEIGHTS, tensors(m)),
        lambda p: efficientnet_lite0(p.parents[1]),
    ),
    "encoder": (
        lambda d, m: model(save_encoder, "pytorch_model.bin", d / "model", m),
        lambda p: pretrained(str(p)),
    ),
    "image model": (
        lambda d, m: model(save_vit, "pytorch_model.bin", d / "model", m),
        lambda p: from_transformers(str(p)),
    ),
}
UNNAMED = {  # files that the library itself has made before; NumPy's own message names no file
    "arrays": (bomb("a.npz", arrays), lambda p: read_arrays(p, sha256(p))),
    "decoded images": (
        lambda d, m: decoded_file(d, m),
        lambda p: image_cache.cached(p.parent, [p.parent / "image.png"], 4),
    ),
    "tokens": (
        lambda d, m: token_files(d / "tokens", m),
        lambda p: tokens.cached(p.parent, nothing, nothing),
    ),
}


@pytest.mark.parametrize("name", FILES | UNNAMED)
def test_code_in_a_file_is_not_run_and_the_error_names_the_file(name, tmp_path):
    make, read = (FILES | UNNAMED)[name]
    mark = tmp_path / "mark"
    path = make(tmp_path, mark)
    with pytest.raises(ValueError, match=str(path) if name in FILES else ".") as caught:
        read(path)
    assert not mark.exists()
    assert "allow_pickle=True" not in str(caught.value)


@pytest.mark.parametrize("vector", [False, True])
def test_code_in_the_checkpoint_of_a_routing_is_not_run(vector, tmp_path):
    path, mark = vouched(tmp_path / "file", tmp_path / "mark"), tmp_path / "mark"
    options: dict[str, Any] = {"blocks": 2, "width": 2, "filters": 2}
    id = "MTL-Emoji-Routing-v0"
    env: Any = gym.make_vec(id, 2, **options) if vector else gym.make(id, **options)
    with pytest.raises(ValueError, match=str(path)):
        env.unwrapped.load(path)
    assert not mark.exists()


@pytest.mark.parametrize("make", [lambda m: pickle.dumps(Bomb(m)), array, arrays, tensors])
def test_the_code_works_where_pickles_are_read(make, tmp_path):
    mark = tmp_path / "mark"
    content = io.BytesIO(make(mark))
    assert not mark.exists()
    if make is array:
        np.load(content, allow_pickle=True)
    elif make is arrays:
        np.load(content, allow_pickle=True)["features"]
    elif make is tensors:
        torch.load(content, weights_only=False)
    else:
        pickle.load(content)
    assert mark.exists()


def test_code_in_a_zip_runs_where_it_is_trusted(tmp_path):
    mark = tmp_path / "mark"
    path = zipped(tmp_path / "model.zip", mark)
    with pytest.raises(ValueError, match=str(path)):
        agents.load(path, trust=True)
    assert mark.exists()
