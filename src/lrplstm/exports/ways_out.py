"""The methods by which explanations leave the package, of one and of many."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lrplstm.checks import check_choice
from lrplstm.exports.arrow import to_arrow
from lrplstm.exports.captum_records import to_captum
from lrplstm.exports.files import replaced_file, write_csv, write_parquet
from lrplstm.exports.frames import to_frame, to_xarray
from lrplstm.exports.json_lines import JsonLines, encode_records
from lrplstm.exports.one import BatchOfOne
from lrplstm.exports.shap_values import OVER, to_shap
from lrplstm.exports.tidy import tidy
from lrplstm.records import record, records

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import shap
    import xarray as xr
    from captum.attr.visualization import VisualizationDataRecord

__all__ = ["WaysOut", "WaysOutOfMany"]


class WaysOut:
    """Those of `lrplstm.Attribution`."""

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table of pandas: a row for each word, or each variable at each step.

        Returns
        -------
        DataFrame
            Columns ``step``, ``label`` (of labelled steps), ``token`` (of words), ``variable`` (of
            numbers, at level "input"), ``class`` (where several are explained) and ``relevance``.

        Raises
        ------
        ImportError
            Without pandas.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.lrp(lrplstm.load_default(), ["fine", "."]).to_frame().columns.tolist()
        ['step', 'token', 'relevance']
        """
        return to_frame(BatchOfOne(self), sequence=False)

    def to_xarray(self) -> xr.Dataset:
        """Return a data set of xarray with dimensions step and feature.

        Returns
        -------
        Dataset
            As of `Attributions.to_xarray`, without the dimension of sequences.

        Raises
        ------
        ImportError
            Without xarray.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_xarray().relevance.shape
        (2,)
        """
        return to_xarray(BatchOfOne(self)).isel(sequence=0, drop=True)

    def to_shap(self, *, over: str = "steps") -> shap.Explanation:
        """Return a `shap.Explanation`, which `shap.plots` draws: waterfall, bar, text.

        Base value and values add up to the explained score: the base value is what ended on initial
        states and what biases kept.

        Parameters
        ----------
        over : {"steps", "variables", "nothing"}
            What relevance of numbers is summed over: a value is then that of a variable, of a step,
            or of a variable at a step. Words have one value each.

        Returns
        -------
        shap.Explanation
            Values of shape (T,) for words; (D,), (T,) or (T * D,) for numbers; with target "all"
            with classes behind that.

        Raises
        ------
        ImportError
            Without shap.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_shap().feature_names  # doctest: +SKIP
        ['fine', '.']
        """
        check_choice("over", over, OVER)
        return to_shap(BatchOfOne(self), single=True, over=over)

    def to_captum(self, label: int | None = None) -> VisualizationDataRecord:
        """Return a record that ``captum.attr.visualization.visualize_text`` draws.

        Its ``word_attributions`` are relevance over the largest absolute one, since captum draws
        numbers from -1 to 1; ``attr_score`` is the sum of relevance itself.

        Parameters
        ----------
        label : int, optional
            The class that the text should have.

        Returns
        -------
        captum.attr.visualization.VisualizationDataRecord
            Of the words.

        Raises
        ------
        ImportError
            Without captum.
        ValueError
            If not one class of one sequence was explained.

        Examples
        --------
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> a.to_captum(label=4)  # doctest: +SKIP
        """
        return to_captum(self, label)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON.

        Returns
        -------
        dict
            The fields of this class by their names; ``predicted_class`` and ``target_class``, the
            names of those where they are classes (None where they have no names); and ``sum``: what
            was ``shared_out``, what ``inputs`` and ``initial_states`` got of it, and
            what the ``rest`` is. What is NaN or infinite is None: JSON has neither.

        Examples
        --------
        >>> import json
        >>> import lrplstm
        >>> a = lrplstm.lrp(lrplstm.load_default(), ["fine", "."])
        >>> record = json.loads(json.dumps(a.to_dict(), allow_nan=False))
        >>> record["tokens"], record["target_class"], record["sum"]["rest_is"]
        (['fine', '.'], 'positive', 'kept by biases and stabilizers')
        """
        return record(self)


class WaysOutOfMany:
    """Those of `lrplstm.Attributions`."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return `Attribution.to_dict` of each, in a part of the time that one by one takes.

        Returns
        -------
        list of dict
            One for each sequence.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> batch.to_dicts()[1] == batch[1].to_dict()
        True
        """
        return records(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table of pandas: a row for each word, or each variable at each step.

        Returns
        -------
        DataFrame
            As of `Attribution.to_frame`, behind the number of the ``sequence`` and a column for
            each of `sequence_labels`.

        Raises
        ------
        ImportError
            Without pandas.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> batch.to_frame().groupby("sequence").token.count().tolist()
        [2, 1]
        """
        return to_frame(self, sequence=True)

    def to_xarray(self) -> xr.Dataset:
        """Return a data set of xarray with dimensions sequence, step and feature.

        Returns
        -------
        Dataset
            ``relevance`` (sequence, step), at level "input" ``input_relevance`` (sequence, step,
            feature), ``scores``, ``predicted``, ``initial_relevance``, ``delta``, and tokens or
            ``input_values``; with target "all" a dimension ``class`` first. Sequences that are
            shorter than the longest end in NaN. Labels are coordinates; dates with a time zone are
            in UTC.

        Raises
        ------
        ImportError
            Without xarray.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> dict(batch.to_xarray().relevance.sizes)
        {'sequence': 2, 'step': 2}
        """
        return to_xarray(self)

    def to_shap(self, *, over: str = "steps") -> shap.Explanation:
        """Return a `shap.Explanation`, which `shap.plots` draws: beeswarm, bar, heatmap, text.

        Parameters
        ----------
        over : {"steps", "variables", "nothing"}
            What relevance of numbers is summed over, as in `Attribution.to_shap`.

        Returns
        -------
        shap.Explanation
            Values of shape (B, D) where numbers are summed over steps; (B, T) or (B, T * D)
            otherwise, for sequences of one length; for words, and other lengths, an array of
            objects with the values of each sequence. Data is the mean of each variable where it is
            summed over steps.

        Raises
        ------
        ImportError
            Without shap.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> batch.to_shap().values[1].shape  # doctest: +SKIP
        (1,)
        """
        check_choice("over", over, OVER)
        return to_shap(self, single=False, over=over)

    def to_arrow(self, *, input_values: bool = False) -> pa.Table:
        """Return an Arrow table with a row a sequence; its schema is that of every file.

        Parameters
        ----------
        input_values : bool
            Whether to add the numbers that were explained.

        Returns
        -------
        pyarrow.Table
            See `lrplstm.exports.arrow` for its columns, and the version of its schema.

        Raises
        ------
        ImportError
            Without pyarrow.

        Examples
        --------
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> batch.to_arrow().column("tokens").to_pylist()
        [['fine', '.'], ['dull']]
        """
        return to_arrow(self, input_values=input_values)

    def to_parquet(self, path: str | os.PathLike[str], *, input_values: bool = False) -> None:
        """Write `to_arrow` to a Parquet file, from which `lrplstm.read_parquet` reads it.

        Parameters
        ----------
        path : str or path
            File to write.
        input_values : bool
            Whether to write the numbers that were explained, too.

        Raises
        ------
        ImportError
            Without pyarrow.
        OSError
            If it cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "batch.parquet")
        ...     batch.to_parquet(path)
        ...     lrplstm.read_parquet(path)
        Attributions(method='lrp', 2 sequences, 3 steps)
        """
        write_parquet(to_arrow(self, input_values=input_values), path)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the columns of `to_frame` to a CSV file (RFC 4180, UTF-8), without pandas.

        Parameters
        ----------
        path : str or path
            File to write.

        Raises
        ------
        OSError
            If it cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "batch.csv")
        ...     batch.to_csv(path)
        ...     path.read_text("utf-8").splitlines()[0]
        'sequence,step,token,relevance'
        """
        with replaced_file(path) as file:
            write_csv(file, tidy(self, dates=False))

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dicts` as strict JSON, one object a line.

        Parameters
        ----------
        path : str or path
            File to write.

        Raises
        ------
        OSError
            If it cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import lrplstm
        >>> batch = lrplstm.lrp(lrplstm.load_default(), [["fine", "."], ["dull"]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "batch.jsonl")
        ...     batch.to_jsonl(path)
        ...     len(path.read_text("utf-8").splitlines())
        2
        """
        with replaced_file(path) as file:
            JsonLines(file).write_texts(encode_records(self, {}))
