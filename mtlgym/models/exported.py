"""A network in a file of `torch.export` as a backbone, refused if it needs a pickle."""

import io
import json
import zipfile
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from mtlgym.datasets.formats.arrays import sha256
from mtlgym.models.backbone import FAULTS, Backbone, probe

SUFFIX = ".pt2"
CONFIG = "_config.json"  # ends the name of a list of an archive's weights or constants


def from_export(path: Path) -> Backbone:
    """Load a network that `torch.export.save` wrote.

    It takes pixels in [0, 1], so it normalises them itself. It must have been exported in eval
    mode, with an example of its one input, (n, 3, side, side), and with any n allowed. As a graph
    that was made to do harm can do it when it is loaded, take files from those whom you trust.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it is damaged, holds an object other than tensors, or another network; names
            it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`backbone` {str(path)!r} is not there")
    try:
        _check(path)
        program = torch.export.load(path)
        shape = tuple(program.example_inputs[0][0].shape) if program.example_inputs else ()
        module: nn.Module = program.module().requires_grad_(False)
    except (*FAULTS, OSError, EOFError, KeyError, UnpicklingError, zipfile.BadZipFile) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(
            f"`backbone` {str(path)!r} is damaged, or no file of torch.export.save: {said}"
        ) from error
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        wanted = "an example input of (n, 3, side, side)"
        raise ValueError(f"`backbone` {str(path)!r} must have {wanted}, not {shape}")
    probe(str(path), module, shape[2])
    return Backbone(path.name, module, shape[2], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), sha256(path))


def _check(path: Path) -> None:
    """Raise a ValueError or an UnpicklingError unless the archive is sound and holds tensors only.

    Torch itself compares no checksums, and loads with pickle what is no tensor.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} has another checksum")
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".pt") and content:
                torch.load(io.BytesIO(content), weights_only=True)
            elif name.endswith(CONFIG):
                entries = json.loads(content)["config"]
                objects = [key for key, value in entries.items() if value["use_pickle"]]
                if objects:
                    raise ValueError(f"{objects[0]} is an object other than a tensor")
