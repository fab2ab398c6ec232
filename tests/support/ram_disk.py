"""Where tests write: in memory where there is room, since many of them wait for a disk most of the time."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_MEMORY, _PREFIX = Path("/dev/shm"), "saccade-tests-"  # a folder of one's own is made in it
_ROOM = 6 << 30
_DISK = "SACCADE_TESTS_DISK"


def write_into_memory() -> None:
    """Let this process and those that it begins write temporary files into memory, until it ends.

    Nothing changes where somebody has said where they belong (TMPDIR), and where memory is short.
    """
    if "TMPDIR" in os.environ or not _has_room():
        return
    for old in _MEMORY.glob(f"{_PREFIX}*"):  # of runs that were killed
        found = re.fullmatch(rf"{_PREFIX}([0-9]+)-.*", old.name)
        if found and not Path("/proc", found[1]).exists():
            shutil.rmtree(old, ignore_errors=True)
    os.environ[_DISK] = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def disk() -> str:
    """A folder on a disk, for what is to be tried there."""
    return os.environ.get(_DISK) or tempfile.gettempdir()


def _has_room() -> bool:
    with suppress(OSError, ValueError):
        available = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text("utf-8"))
        return (
            available is not None
            and int(available[1]) << 10 > 2 * _ROOM
            and shutil.disk_usage(_MEMORY).free > _ROOM
            and os.access(_MEMORY, os.W_OK | os.X_OK)
        )
    return False
