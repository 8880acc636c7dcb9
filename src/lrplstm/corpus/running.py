"""A whole run: files -> pieces -> workers -> parts, recorded one by one."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from lrplstm.backends import choose
from lrplstm.base_model import Model
from lrplstm.corpus.batches import made_up
from lrplstm.corpus.columns import Columns
from lrplstm.corpus.explaining import Task
from lrplstm.corpus.files import SourceFile, source_files
from lrplstm.corpus.manifest import FORMAT_VERSION, MANIFEST, Manifest
from lrplstm.corpus.opening import Corpus
from lrplstm.corpus.parts import DATA, REJECTS, Job
from lrplstm.corpus.pieces import MOST_IN_LINE, Piece, pieces_of
from lrplstm.corpus.storage import Folder, folder_at
from lrplstm.corpus.summing import summarize
from lrplstm.corpus.workers import Workers, in_processes, in_this_process
from lrplstm.errors import PYTHON, ArgumentError, Spelling
from lrplstm.exports.needed import needed
from lrplstm.methods import ALIASES
from lrplstm.plain import plain
from lrplstm.texts import shown

__all__ = ["Progress", "explain_corpus"]

_PIECE_BYTES = 2 * 2**20


class Progress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    rows : int
        So many rows are done, in this run and those that it continues.
    fraction : float, or None
        So much of the files has been read; None where their size is not known.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> from lrplstm.corpus import explain_corpus
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("Dull!")
    >>> _ = explain_corpus(
    ...     lrplstm.load_default(), folder / "a.txt", folder / "out", workers=1, progress=print
    ... )
    Progress(rows=1, fraction=1.0)
    """

    rows: int
    fraction: float | None


class BegunError(ArgumentError):
    """A run was begun in a folder, and nobody said that it is to be continued.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder: str) -> None:
        super().__init__("out", folder)

    def problem(self, spelling: Spelling = PYTHON) -> str:
        """Return where the run was begun, and the ways out."""
        return (
            f"a run was begun in {self.args[1]} already; continue it with "
            f"{spelling.option('resume')}, or write into another folder"
        )


def explain_corpus(
    model: Model,
    source: Any,
    out: str | os.PathLike[str],
    *,
    method: str = "lrp",
    target: Any = None,
    level: str | None = None,
    unknown: str | None = None,
    format: str | None = None,
    column: str | None = None,
    keep: Iterable[str] = (),
    tokenized: bool = False,
    ids: bool = False,
    key: str | None = None,
    time: str | None = None,
    features: Iterable[str] = (),
    max_tokens: int = 10_000,
    strict: bool = False,
    resume: bool = False,
    workers: int | None = None,
    scheduler: Any = None,
    piece_bytes: int = _PIECE_BYTES,
    progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Corpus:
    r"""Explain the sequences in files, of any number, into a folder of Parquet files.

    Parameters
    ----------
    model : Model
        What is explained.
    source : path, or list of paths
        Files, folders, patterns such as ``"news/*.txt"``, URLs that fsspec reads, or "-" for
        standard input: text (a sequence a line), lines of ``label<TAB>word | word``, JSON lines,
        CSV and TSV with named columns, Parquet and Arrow; those of lines also as .gz, .zst or .bz2.
    out : path or URL
        The folder. In it ``data`` has the explanations, ``rejects`` the rows that have none, and
        ``summary.json`` and ``summary.html`` what came out.
    method : str
        One of `lrplstm.METHODS`.
    target : None, int, str, array, or sequence of these, optional
        As for `lrplstm.explain`.
    level : {"token", "input"}, optional
        As for `lrplstm.explain`.
    unknown : {"error", "unk", "zero"}, optional
        What to do with words that the vocabulary lacks.
    format : {"text", "labelled", "jsonl", "csv", "tsv", "parquet", "arrow"}, optional
        What files are. Default: what their names end in; text where they end in nothing.
    column : str, optional
        Of tables, the column with sequences: texts, lists of tokens, of ids or of floats. Default:
        the one that is called text, tokens, ids or series.
    keep : iterable of str
        Columns that are written beside, as `label.<name>`.
    tokenized, ids : bool
        Whether a text is words, or token ids, with spaces between. Default: the model's tokenizer
        splits it.
    key, time : str, optional
        Of long tables, in which a row is a step: which column says of which series it is, and which
        when it was. The rows of a series stand together.
    features : iterable of str
        Of long tables, the variables. Default: those that the model names.
    max_tokens : int
        Longer sequences are rejected.
    strict : bool
        Whether the first row that cannot be explained is an error rather than rejected.
    resume : bool
        Whether a run that was begun in the folder is continued.
    workers : int, optional
        Processes. Default: one for each processor. 1: no other process.
    scheduler : str or distributed.Client, optional
        Dask's scheduler, or its address such as ``"tcp://10.0.0.1:8786"``: its workers do the work.
        They need to reach `source` and `out` by the same names.
    piece_bytes : int
        How much is read for one part, of files of lines; at most 16 MB.
    progress : callable, optional
        Called with a `Progress` after each part.
    **options
        The method's own.

    Returns
    -------
    Corpus
        What `lrplstm.corpus.open` returns of the folder.

    Raises
    ------
    ImportError
        Without pyarrow, or what else a source or scheduler needs.
    TypeError, ValueError
        If an argument cannot be used; if another run, or a run that is not to be continued, is in
        the folder; if a file changes meanwhile or is damaged; with `strict`, because of a row.
    OSError
        If a file cannot be read or written. Everything that was written until then is complete, and
        `resume` goes on from there.

    Notes
    -----
    Every row is in ``data`` or in ``rejects``, by its file and its number there from 0. What is
    written is the same for any number of workers, and whatever interrupts a run. In a script that
    calls it with several workers, guard the call by ``if __name__ == "__main__":``, as with
    everything that begins processes.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lrplstm
    >>> from lrplstm.corpus import explain_corpus
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "films.txt").write_text("A fine film.\n\nDull!\n")
    >>> model = lrplstm.load_default()
    >>> found = explain_corpus(model, folder / "films.txt", folder / "explained", workers=1)
    >>> found.rows, found.rejected
    (2, 1)
    """
    needed("pyarrow", "a corpus")
    began = monotonic()
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    if model.inputs is not None and len(model.inputs) > 1:
        raise ValueError("model: expected one of one input; explain several with lrplstm.explain")
    _check_count("max_tokens", max_tokens)
    _check_count("piece_bytes", piece_bytes)
    if piece_bytes > MOST_IN_LINE:
        raise ValueError(f"piece_bytes: expected at most {MOST_IN_LINE:,}, got {piece_bytes:,}")
    if key is not None and not features:
        features = model.feature_names or ()
    columns = Columns(column, tuple(keep), tokenized, ids, key, time, tuple(features))
    files = source_files(source, format)
    _check_columns(columns, files)
    task = Task(model, ALIASES.get(method, method), target, level, unknown, max_tokens, options)
    work = _workers(workers, scheduler)
    folder = folder_at(out)
    _check_apart(folder, files)
    run = _described(task, columns, files, piece_bytes)
    task.explain(made_up(model))  # so that what is wrong with options is said before any row
    folder.make(DATA, REJECTS, MANIFEST)
    with folder.locked():
        manifest = _begun(folder, run, resume)
        folder.clear(DATA, REJECTS, MANIFEST)  # after a run that was killed
        cutting = _Cutting(files, columns, piece_bytes)
        _run(Job(task, folder, strict), work, manifest, cutting, progress)
        _tidy(folder, manifest)
        summarize(folder, manifest, model, monotonic() - began)
    return Corpus(folder)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {shown(value)}")


def _check_apart(folder: Folder, files: list[SourceFile]) -> None:
    """Refuse a folder in which files lie that are read."""
    inside = os.path.join(os.path.realpath(folder.path), "")
    for file in files:
        if "://" not in folder.path and os.path.realpath(file.name).startswith(inside):
            raise ValueError(
                f"out: expected another folder than that of {file.name}, which is read"
            )


def _check_columns(columns: Columns, files: list[SourceFile]) -> None:
    """Refuse columns of files that have none."""
    asked = {"column": columns.column, "keep": columns.keep, "key": columns.key}
    for file in files:
        for name, value in asked.items():
            if value and file.format in ("text", "labelled"):
                raise ValueError(
                    f"{name}: expected None for {file.name}: its lines have no columns"
                )
        if columns.long and file.format == "jsonl":
            raise ValueError(f"key: expected None for {file.name}: its lines are whole sequences")


def _workers(workers: int | None, scheduler: Any) -> Workers:
    if scheduler is not None:
        if workers is not None:
            raise ValueError("workers: expected None with scheduler=, whose workers do the work")
        from lrplstm.corpus.cluster import on_cluster

        return on_cluster(scheduler)
    if workers is None:
        workers = choose.count_threads(None, sys.maxsize)
    _check_count("workers", workers)
    return in_this_process if workers == 1 else in_processes(workers)


def digest_of(model: Model) -> str:
    """Return a digest of all that a model is: that of the files it would be saved in."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        total = hashlib.sha256()
        for path in sorted(Path(folder).iterdir()):
            total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _described(
    task: Task, columns: Columns, files: list[SourceFile], piece_bytes: int
) -> dict[str, Any]:
    """Return what a run is: nothing else may be continued in its folder."""
    described: dict[str, Any] = plain(
        {
            "format_version": FORMAT_VERSION,
            "model": digest_of(task.model),
            "settings": {
                "method": task.method,
                "target": task.target,
                "level": task.level,
                "unknown": task.unknown,
                "max_tokens": task.max_tokens,
                "piece_bytes": piece_bytes,
                **task.options,
            },
            "columns": asdict(columns),
            "files": [file.name for file in files],
            "formats": [file.format for file in files],
        }
    )
    return described


def _begun(folder: Folder, run: dict[str, Any], resume: bool) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest is None:
        if folder.names(DATA):
            raise ValueError(f"{folder.path}: expected a new folder, or one of a run, got files")
        return Manifest.begin(folder, run)
    manifest.check_same(run)
    if not resume:
        raise BegunError(folder.path)
    return manifest


class _Cutting:
    """The pieces of all files, in their order; what has been cut so far is counted."""

    def __init__(self, files: list[SourceFile], columns: Columns, piece_bytes: int) -> None:
        self._files, self._columns, self._bytes = files, columns, piece_bytes
        self.rows = 0
        sizes = [file.size for file in files]
        self.size = None if None in sizes else sum(size for size in sizes if size)

    def __iter__(self) -> Iterator[Piece]:
        before = 0
        for number, file in enumerate(self._files):
            for piece in pieces_of(file, number, self._columns, self._bytes):
                self.rows += piece.rows
                yield replace(piece, position=before + piece.position)
            before += file.size or 0


def _run(
    job: Job,
    work: Workers,
    manifest: Manifest,
    cutting: _Cutting,
    progress: Callable[[Progress], object] | None,
) -> None:
    """Explain all pieces of which there is no part yet."""
    rows = 0
    lost = dict(manifest.records)

    def lacking() -> Iterator[Piece]:
        nonlocal rows
        for piece in cutting:
            record = lost.pop(piece.part, None)
            if record is None:
                yield piece
                continue
            if record.digest != piece.digest or record.first_row != piece.first_row:
                raise ValueError(
                    f"{piece.file.name}: expected the file with which the run began; it is another "
                    f"now from row {piece.first_row} on"
                )
            rows += record.rows

    try:
        # Closed, so that nobody writes any more when the folder is open to another run.
        with closing(work(job, lacking())) as parts:
            for piece, record in parts:
                manifest.add(record)
                rows += record.rows
                if progress is not None:
                    progress(Progress(rows, _fraction(cutting, piece)))
    finally:
        manifest.write()
    for record in lost.values():
        raise ValueError(
            f"{record.file}: expected the file with which the run began; it lacks the rows from "
            f"{record.first_row} on now"
        )
    done = Counter[str]()
    for record in manifest.records.values():
        done["in"] += record.rows
        done["out"] += record.written + record.rejected
    if not done["in"] == done["out"] == cutting.rows:
        raise RuntimeError(
            f"{job.folder.path}: {cutting.rows} rows were read, and {done['out']} are accounted for"
        )


def _tidy(folder: Folder, manifest: Manifest) -> None:
    """Remove what killed workers and runs have left: files that are not whole, or of no record."""
    folder.clear(DATA, REJECTS, MANIFEST)
    records = manifest.records.values()
    kept = {f"{DATA}/{record.part}.parquet" for record in records if record.written}
    kept |= {f"{REJECTS}/{record.part}.jsonl" for record in records if record.rejected}
    for name in (*folder.names(DATA), *folder.names(REJECTS)):
        if name not in kept and "/part-" in name:
            folder.remove(name)


def _fraction(cutting: _Cutting, piece: Piece) -> float | None:
    return None if not cutting.size else piece.position / cutting.size
