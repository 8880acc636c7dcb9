"""Pages of the documentation for the tests: their Python, their links and the names they use."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import lrplstm

ROOT = Path(__file__).parents[1]


class Page:
    """A Markdown file of the project, by its path there."""

    def __init__(self, path):
        self.path = ROOT / path
        self.text = self.path.read_text(encoding="utf-8")
        self.blocks = re.findall(r"```python\n(.*?)```", self.text, flags=re.DOTALL)

    def run(self, folder):
        """Run the blocks one after the other in a folder.

        Returns what they define, and the lines they print as "printed".
        """
        names, printed = {}, io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            for code in self.blocks:
                exec(compile(code, self.path.name, "exec", dont_inherit=True), names)
        return names | {"printed": printed.getvalue().splitlines()}

    def check_references(self):
        """Check that the files it links to and the public names it uses exist."""
        for target in re.findall(r"\]\(([^)#:]+)\)", self.text):
            assert (self.path.parent / target).exists(), target
        for name in re.findall(r"\blrplstm\.([a-zA-Z_]+)", self.text):
            assert name in ("compat", "evaluation") or hasattr(lrplstm, name), name
