r"""Millions of sentences or series: explained by all processors, with nothing lost.

>>> import pathlib, tempfile
>>> import lrplstm
>>> from lrplstm import corpus
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> _ = (folder / "films.txt").write_text("A fine film.\nDull!\n")
>>> explained = corpus.explain_corpus(
...     lrplstm.load_default(), folder / "films.txt", folder / "explained", workers=1
... )
>>> explained.rows, explained.summary["predicted"]["very positive"]
(2, 1)
"""

from __future__ import annotations

from lrplstm.corpus.batches import explain_record_batch, output_schema
from lrplstm.corpus.opening import Corpus
from lrplstm.corpus.opening import open_corpus as open
from lrplstm.corpus.running import Progress, explain_corpus

__all__ = [
    "Corpus",
    "Progress",
    "explain_corpus",
    "explain_record_batch",
    "open",
    "output_schema",
]
