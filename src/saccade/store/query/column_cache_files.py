"""Leaves of columns in files beside the data: the first question after a start need not take texts apart again.

They are made when data is written, for what is asked most. What is damaged or missing is read from the data itself.
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

from saccade.store.io.atomic import write_whole

Arrays = Mapping[str, np.ndarray[Any, Any]]


def leaf_file(folder: Path, data: str, steps: tuple[str, ...]) -> Path:
    """Where a leaf of a data file is kept, in the folder for what is known of data files."""
    return folder / f"{data}.{hashlib.sha256(json.dumps(steps).encode()).hexdigest()[:16]}.npz"


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Keep arrays; OSError where the disk does not permit it."""
    made = io.BytesIO()
    np.savez(made, allow_pickle=False, **arrays)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, made.getvalue())


def read_arrays(path: Path) -> Arrays | None:
    """What is kept there, None where there is nothing that is whole: each array has a checksum."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def words_array(words: list[str]) -> np.ndarray[Any, Any]:
    """Texts as an array of bytes."""
    return np.frombuffer(json.dumps(words).encode(), np.uint8)


def words_of(array: np.ndarray[Any, Any]) -> list[str]:
    found: list[str] = json.loads(array.tobytes())
    return found
