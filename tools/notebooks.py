"""Runs the notebooks of the project, and writes what their cells show into them.

Usage: python tools/notebooks.py [NOTEBOOK ...]        (default: all in examples/)

Cells run in this process, one after the other, as "Restart and run all" in Jupyter would run them:
shown are what they print, what their last expression is, and the figures that they draw. Neither
Jupyter nor a kernel is needed, and nothing is written that changes from run to run.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "examples"

Cell = dict[str, Any]
Output = dict[str, Any]


def execute(cells: list[Cell]) -> list[list[Output]]:
    """Run the code cells of a notebook, and return the outputs of each."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("agg")
    plt.close("all")  # of whoever has drawn in this process before
    names: dict[str, Any] = {"__name__": "__main__"}
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    sys.path.insert(0, str(FOLDER))  # as Jupyter does, for modules that lie beside a notebook
    try:
        return [run_cell(source, names) for source in code]
    finally:
        sys.path.remove(str(FOLDER))


def run_cell(source: str, names: dict[str, Any]) -> list[Output]:
    """Run one cell, and return what Jupyter would show below it."""
    body = ast.parse(source).body
    shown = None
    if body and isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        shown = ast.Expression(body.pop().value)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        value = None if shown is None else eval(compile(shown, "<cell>", "eval"), names)
    outputs: list[Output] = []
    if printed.getvalue():
        outputs.append(
            {"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())}
        )
    if value is not None:
        outputs.append({"execution_count": None, **shown_as("execute_result", as_data(value))})
    outputs += [shown_as("display_data", {"image/png": png}) for png in drawn()]
    return outputs


def shown_as(kind: str, data: dict[str, Any]) -> Output:
    """Return an output of some kind with the forms of what it shows."""
    return {"data": data, "metadata": {}, "output_type": kind}


def as_data(value: Any) -> dict[str, Any]:
    """Return what a notebook shows of a value: a page fragment, if it has one, and text."""
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    data = {} if html is None else {"text/html": lines(html)}
    return data | {"text/plain": lines(repr(value))}


def drawn() -> list[str]:
    """Return the figures that pyplot knows as PNG files in base64, and close them."""
    from matplotlib import pyplot as plt
    from PIL import Image

    pictures = []
    for number in plt.get_fignums():
        drawn, small = io.BytesIO(), io.BytesIO()
        plt.figure(number).savefig(drawn, format="png", bbox_inches="tight")
        # Of 256 colours, a third of the size; and without matplotlib's version.
        Image.open(drawn).convert("RGB").quantize(256).save(small, format="png", optimize=True)
        pictures.append(base64.b64encode(small.getvalue()).decode("ascii") + "\n")
    plt.close("all")
    return pictures


def lines(text: str) -> list[str]:
    """Return a text as notebooks keep it: line by line, each with its end."""
    return text.splitlines(keepends=True)


def read(path: Path) -> dict[str, Any]:
    """Return a notebook."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def main(paths: list[Path]) -> None:
    """Run the notebooks, and write them back."""
    for path in paths:
        notebook = read(path)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell, outputs in zip(code, execute(notebook["cells"]), strict=True):
            cell |= {"outputs": outputs, "execution_count": None, "metadata": {}}
        text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
        print(f"ran {path}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")))
