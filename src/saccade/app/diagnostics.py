"""What is installed, for `saccade doctor`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PARTS = (
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


def installation() -> dict[str, str]:
    """The versions of Python and of the parts that matter most; "not installed" for those that are missing."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PARTS}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
