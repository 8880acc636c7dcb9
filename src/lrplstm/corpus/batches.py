"""One record batch after another: what Ray, Spark, or any stream of Arrow's data can call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.corpus.columns import Columns
from lrplstm.corpus.explaining import Task, explained, table_of
from lrplstm.corpus.reading import Rows
from lrplstm.exports.needed import needed
from lrplstm.methods import ALIASES
from lrplstm.texts import shown

__all__ = ["explain_record_batch", "made_up", "output_schema"]

_ERROR = "error"


def explain_record_batch(
    model: Model,
    batch: Any,
    *,
    column: str | None = None,
    tokenized: bool = False,
    ids: bool = False,
    method: str = "lrp",
    target: Any = None,
    level: str | None = None,
    unknown: str | None = None,
    max_tokens: int = 10_000,
    **options: Any,
) -> Any:
    """Explain the rows of a record batch: a row of the result for each, in their order.

    It is a plain function of a batch, so it runs wherever Arrow's batches do: in
    ``ray.data.Dataset.map_batches``, in Spark's ``mapInArrow``.

    Parameters
    ----------
    model : Model
        What is explained.
    batch : pyarrow.RecordBatch or pyarrow.Table
        Sequences in one column, a row each; other columns go through as they are.
    column : str, optional
        Has the sequences: texts, or lists of tokens, ids or floats, or lists of lists of floats.
        Default: the one that is called text, tokens, ids or series.
    tokenized, ids : bool
        Whether a text is words, or token ids, with spaces between. Default: the model's tokenizer
        splits it.
    method : str
        One of `lrplstm.METHODS`.
    target : None, int, str, array, or sequence of these, optional
        As for `lrplstm.explain`.
    level : {"token", "input"}, optional
        As for `lrplstm.explain`.
    unknown : {"error", "unk", "zero"}, optional
        What to do with words that the vocabulary lacks.
    max_tokens : int
        Longer sequences are not explained.
    **options
        The method's own.

    Returns
    -------
    pyarrow.RecordBatch or pyarrow.Table
        As what was given. It has the columns of the batch but the one with the sequences; those
        that `lrplstm.exports.arrow` describes; and `error`, which says why a row is not explained
        and is null where it is.

    Raises
    ------
    ImportError
        Without pyarrow.
    TypeError, ValueError
        If there is no such column or option, a column has the name of one of the result, or the
        model cannot be explained so. Never because of a row.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import lrplstm
    >>> from lrplstm import corpus
    >>> batch = pa.record_batch({"id": [7, 8], "text": ["A fine film.", ""]})
    >>> result = corpus.explain_record_batch(lrplstm.load_default(), batch)
    >>> result.column("id").to_pylist(), result.column("predicted").to_pylist()
    ([7, 8], [4, None])
    >>> result.column("error").to_pylist()
    [None, 'expected at least one step, got an empty sequence']
    """
    pyarrow = needed("pyarrow", "explain_record_batch")
    if not isinstance(batch, pyarrow.RecordBatch | pyarrow.Table):
        raise TypeError(f"batch: expected a RecordBatch or a Table, got {type(batch).__name__}")
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    columns = Columns(column, tokenized=tokenized, ids=ids).within("batch", batch.schema.names)
    task = Task(model, ALIASES.get(method, method), target, level, unknown, max_tokens, options)
    schema = _schema(task, batch.schema, columns)
    given = batch.column(columns.column)
    if isinstance(given, pyarrow.ChunkedArray):
        given = given.combine_chunks()
    errors: list[str | None] = [None] * batch.num_rows
    tables, taken = [], []
    for some in explained(task, Rows(np.arange(len(given)), given), columns):
        for warning in some.warnings:
            warnings.warn(warning, stacklevel=2)
        for row, reason in some.rejects.items():
            errors[row] = reason
        if some.table is not None:
            tables.append(some.table)
            taken.append(some.rows)
    place = np.full(len(given), -1)
    if taken:
        place[np.concatenate(taken)] = np.arange(sum(map(len, taken)))
    where = pyarrow.array(place, mask=place < 0)
    found = pyarrow.concat_tables(tables) if tables else None
    arrays = []
    for field in schema:
        if field.name == _ERROR:
            arrays.append(pyarrow.array(errors, pyarrow.string()))
        elif field.name in batch.schema.names and field.name != columns.column:
            arrays.append(batch.column(field.name))
        elif found is None:
            arrays.append(pyarrow.nulls(len(given), field.type))
        else:
            arrays.append(found.column(field.name).combine_chunks().take(where))
    return type(batch).from_arrays(arrays, schema=schema)


def output_schema(model: Model, schema: Any, **arguments: Any) -> Any:
    """Return the schema of what `explain_record_batch` makes of batches of a schema.

    Parameters
    ----------
    model : Model
        What is explained.
    schema : pyarrow.Schema
        That of batches.
    **arguments
        As for `explain_record_batch`.

    Returns
    -------
    pyarrow.Schema
        Of the columns that stay, those of explanations, and `error`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import lrplstm
    >>> from lrplstm import corpus
    >>> corpus.output_schema(lrplstm.load_default(), pa.schema({"text": pa.string()})).names[:3]
    ['tokens', 'unknown', 'scores']
    """
    pyarrow = needed("pyarrow", "output_schema")
    empty = pyarrow.RecordBatch.from_pylist([], schema)
    return explain_record_batch(model, empty, **arguments).schema


def _schema(task: Task, schema: Any, columns: Columns) -> Any:
    """Return the schema of results, by explaining a sequence that is made up."""
    pyarrow = needed("pyarrow", "explain_record_batch")
    type_ = schema.field(columns.column).type
    inner = getattr(type_, "value_type", type_)
    words = pyarrow.types.is_string(inner) or pyarrow.types.is_large_string(inner)
    made = table_of(task.explain(made_up(task.model, words=words and not columns.ids))).schema
    others = [field for field in schema if field.name != columns.column]
    for field in others:
        if field.name in (*made.names, _ERROR):
            raise ValueError(
                f"batch: expected no column {shown(field.name)}, which is one of the result; "
                "rename it"
            )
    fields = [*others, *made, pyarrow.field(_ERROR, pyarrow.string())]
    return pyarrow.schema(fields, metadata=made.metadata)


def made_up(model: Model, *, words: bool = False) -> list[Any]:
    """Return a batch of one sequence, of a length that the model can read."""
    problem: Exception | None = None
    for length in (1, 8, 64, 512, 4096):
        if model.embedding is None:
            made: Any = np.zeros((length, model.input_size))
        elif words and model.vocabulary is not None:
            known = (t for n, t in enumerate(model.vocabulary) if t and n != model.mask_id)
            made = [next(known)] * length
        else:
            made = np.full(length, next(n for n in range(2) if n != model.mask_id))
        try:
            model.encode([made])
            return [made]
        except ValueError as error:
            problem = error
    raise ValueError(f"model: expected one that reads one sequence ({problem})")
