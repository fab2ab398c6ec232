"""Cached leaf columns as ``.npz`` files beside the data, so that the first query after a start need not extract them.

They are written at commit for the columns that are queried most. If a file is damaged or missing, the leaf is read from
the data instead.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saccade.io.atomic import atomic_write, make_private_dir

Arrays = Mapping[str, np.ndarray[Any, Any]]


def leaf_path(folder: Path, data_file: str, path: tuple[str, ...]) -> Path:
    """Return the file of a leaf.

    Args:
        folder: folder of the table for derived files.
        data_file: name of the data file with the leaf.
        path: path of the leaf. Hashed, because column names may contain any character.
    """
    return folder / f"{data_file}.{hashlib.sha256(json.dumps(path).encode()).hexdigest()[:16]}.npz"


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write named arrays; OSError if the file cannot be written."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    make_private_dir(path.parent)
    atomic_write(path, buffer.getvalue())


def read_arrays(path: Path) -> Arrays | None:
    """Read named arrays. Returns None if the file is missing or damaged (each array has a checksum)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def encode_strings(strings: list[str]) -> np.ndarray[Any, Any]:
    """Encode strings as uint8 JSON, since arrays of Python objects would need pickle."""
    return np.frombuffer(json.dumps(strings).encode(), np.uint8)


def decode_strings(array: np.ndarray[Any, Any]) -> list[str]:
    strings: list[str] = json.loads(array.tobytes())
    return strings
