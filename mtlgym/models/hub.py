"""Loads complete models of the Hugging Face hub, or of a local folder in its form."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel
from transformers.utils import logging

POOLER = "pooler."  # parameters that a model can do without


def load(argument: str, name: str, read: Callable[[str], Any], files: str) -> tuple[Any, Any]:
    """Load a model's processor, and the model in float32, with a pooler only if the files have one.

    Args:
        argument: what the name was given as, for messages.
        name: of a model on the hub (downloaded once, into its cache), or a local folder.
        read: gives what goes with it, by the name.
        files: what `read` reads, for messages.

    Raises:
        OSError: if neither has it; says how to get it.
        ValueError: if what is there cannot be loaded whole.
    """
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):  # layers that the files lack are drawn
            beside = read(name)
            model, told = AutoModel.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError, SafetensorError) as error:
        said = f"transformers said: {' '.join(str(error).split())[:300]}"
        if Path(name).is_dir():
            raise ValueError(f"`{argument}` folder {name!r} cannot be loaded; {said}") from error
        raise OSError(
            f"`{argument}` {name!r} is not there: it must be a model's name on the Hugging Face "
            f"hub, which needs a connection the first time (`hf download {name}`), or a local "
            f"folder with config.json, the weights and {files}. {said}"
        ) from error
    missing = sorted(told["missing_keys"])
    lacking = [key for key in missing if not key.startswith(POOLER)]
    if lacking:
        raise ValueError(
            f"`{argument}` {name!r} lacks {len(lacking)} of its parameters, such as {lacking[0]}"
        )
    if missing:
        model.pooler = None
    return beside, model


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress progress bars and reports of transformers inside."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
