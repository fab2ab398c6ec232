"""Versions of the installed software, for ``saccade doctor``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "saccade",
    "pylance",
    "pyarrow",
    "duckdb",
    "sqlalchemy",
    "opencv-python-headless",
    "torch",
    "torchvision",
    "timm",
)


def environment_report() -> dict[str, str]:
    """Return the versions of Python and the main dependencies; "not installed" for those that are missing."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
