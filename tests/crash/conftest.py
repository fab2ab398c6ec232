"""Processes are killed while they write to a disk, where writing takes its time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.ram_disk import disk


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of one's own on a disk."""
    with tempfile.TemporaryDirectory(prefix="saccade-", dir=disk(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
