"""Pages, and outputs of notebooks: a template, a style and a script, with the data between them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lrplstm.report.content import Given, content
from lrplstm.texts import visible

__all__ = ["fragment", "render", "write"]

# "<" could end the element that the data stand in; U+2028 and U+2029 end lines of a script.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})

# What style and script do without in each output: comments with lines of their own, and space
# before a line.
_SPARE = re.compile(r"^\s*(?://.*|/\*.*\*/)\n|^\s+", re.MULTILINE)

_FRAGMENT = """\
<div class="lrplstm-output {name}" data-lm-suppress-shortcuts="true">
{static}
</div>
<script>
(() => {{
const data = {data};
const show = {show};
for (const host of document.getElementsByClassName("{name}")) {{
if (host.shadowRoot) continue;
const root = host.attachShadow({{ mode: "open" }});
root.innerHTML = {markup};
show(root, data);
}}
}})();
</script>"""


def render(data: dict[str, Any], title: str, note: str | None = None) -> str:
    """Return a page that shows what `lrplstm.report.content.content` returns.

    A note stands below the title.
    """
    from markupsafe import Markup

    style = _file("explanations.css") + _file("report.css")
    function = _function("report.js", data)
    written = 'JSON.parse(document.getElementById("data").textContent)'
    script = f"({function})(document, {written});"
    return _template("report.html").render(
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


def fragment(data: dict[str, Any], static: str, note: str | None = None) -> str:
    """Return an output of a notebook that shows what `lrplstm.report.content.content` returns.

    Where no script runs, `static` is seen: HTML. Everything else stands in a shadow root, so that
    no style or name meets those of the notebook or of another output.
    """
    from markupsafe import Markup

    style = _SPARE.sub("", _file("explanations.css") + _file("notebook.css"))
    markup = _template("notebook.html").render(data=data, style=Markup(style), note=note)
    written = _json(data)
    # Two equal outputs share a name, and each draws those that are not drawn yet.
    name = f"lrplstm-{hashlib.sha256(f'{written}{note}'.encode()).hexdigest()[:12]}"
    return _FRAGMENT.format(
        name=name,
        static=static,
        data=written,
        show=_SPARE.sub("", _function("notebook.js", data)),
        markup=_json(markup),
    )


def _function(last: str, data: dict[str, Any]) -> str:
    """Return the script as a function of the root it draws in, and of the data."""
    series = ["series.js"] if data["kind"] == "series" else []
    parts = map(_file, ["explanations.js", "rows.js", *series, "pointing.js", last])
    return "\n".join(['(root, data) => {\n"use strict";', *parts, "}"])


def _json(data: Any) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


def _hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or style of this text."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@cache
def _file(name: str) -> str:
    return files("lrplstm.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_file),
    )
    return environment.get_template(name)


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
