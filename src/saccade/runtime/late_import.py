"""Late import of functions by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(module: str, name: str) -> Any:
    """Import a function on its call.

    Notebook methods such as ``version.to_torch()`` belong to objects of ``core``, ``store`` and ``client``, while
    ``html_report`` and ``app`` implement them. With an import by name, no module depends on a layer above its own.

    Args:
        module: the module below ``saccade``.
        name: the name of the function.
    """
    return getattr(import_module(f"saccade.{module}"), name)
