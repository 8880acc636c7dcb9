"""The command `lrplstm`: explain and predict texts or series, and convert models."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from lrplstm.cli.inputs import InputError, one_line
from lrplstm.cli.parser import parse

__all__ = ["main"]


def _prepare_streams() -> None:
    """Make standard output and error take whatever is written to them."""
    # They are None where the caller has closed them.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    _prepare_streams()
    options = parse(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except (InputError, ValueError, TypeError, ImportError, MemoryError) as error:
        text = str(error) or type(error).__name__
        print(f"lrplstm: error: {one_line(text)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has gone, as with `| head`; nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"lrplstm: error: {one_line(f'{where}{error.strerror or error}')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
