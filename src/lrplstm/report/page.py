"""The page: a template, a style and a script, with the data put between them."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lrplstm.report.content import Given, content
from lrplstm.texts import visible

__all__ = ["render", "write"]

_SCRIPTS = ("explanations.js", "series.js", "report.js")  # one script, in this order

# "<" could end the element that the data stand in; U+2028 and U+2029 end lines of a script.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def render(data: dict[str, Any], title: str, note: str | None = None) -> str:
    """Return a page that shows what `lrplstm.report.content.content` returns.

    A note stands below the title.
    """
    from markupsafe import Markup

    style, script = _file("report.css"), "\n".join(map(_file, _SCRIPTS))
    return _template().render(
        data=data,
        json=Markup(_json(data)),
        title=visible(title),
        note=note,
        style=Markup(style),
        script=Markup(script),
        policy=(
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


def _json(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


def _hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or style of this text."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _file(name: str) -> str:
    return files("lrplstm.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("report.html"))


def write(
    path: str | os.PathLike[str],
    columns: Sequence[Sequence[Any]],
    given: Given,
    *,
    title: str,
) -> None:
    """Write a page of explanations; see `lrplstm.report.content.content`."""
    page = render(content(columns, given), title)
    Path(path).write_text(page, encoding="utf-8")
