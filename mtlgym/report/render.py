"""The page: templates filled in, with nothing on it that is read from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mtlgym.report.text import clean


def render(context: Mapping[str, Any]) -> str:
    """The whole page, in which all texts are escaped.

    The policy of its head allows its own style and script, by their digests, and pictures that are
    on it; nothing else is run or read.
    """
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _read("page.css"), _read("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'"
    )
    # Both are files of this package, not text of others.
    own = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}
    return environment.get_template("page.jinja").render({**context, **own})


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
