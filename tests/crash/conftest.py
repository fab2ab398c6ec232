"""Crash tests write to a real disk: in memory a write would be too short to be interrupted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.ram_disk import disk


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A temporary folder on a disk."""
    with tempfile.TemporaryDirectory(prefix="saccade-", dir=disk(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
