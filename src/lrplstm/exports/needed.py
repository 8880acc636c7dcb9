"""Libraries that some ways out need, and the error of whoever lacks one."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["needed"]


def needed(library: str, what: str) -> Any:
    """Import a library, or raise an ImportError that says what needs it and how to get it."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        package = library.partition(".")[0]
        if error.name not in (library, package):
            raise
        raise ImportError(f"{what} needs {package}: pip install {package}") from None
