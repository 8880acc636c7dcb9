"""Files of explanations: whole, or not at all."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lrplstm.exports.needed import needed
from lrplstm.texts import first_line
from lrplstm.weights import Array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_table", "replaced_file", "write_csv", "write_parquet"]


@contextmanager
def replaced_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file to write, which takes its place when it is complete."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the path of a file, got {type(path).__name__}")
    target = Path(path)
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}-", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def _umask() -> int:
    """Return what new files may not be: it cannot be read without being set."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_csv(file: IO[bytes], columns: Mapping[str, Array]) -> None:
    """Write columns with a header, as RFC 4180 has it, in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    file.write(text.getvalue().encode())


def write_parquet(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write a table to a Parquet file."""
    parquet = needed("pyarrow.parquet", "to_parquet")
    with replaced_file(path) as file:
        parquet.write_table(table, file)


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Return the table in a Parquet file, or in the files of a folder."""
    parquet = needed("pyarrow.parquet", "read_parquet")
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the path of a file, got {type(path).__name__}")
    name: Any = os.fspath(path)
    try:
        table: pa.Table = parquet.read_table(name)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # of Arrow, which are many, for files that are anything
        raise ValueError(f"{name}: expected a Parquet file ({first_line(error)})") from None
    return table
