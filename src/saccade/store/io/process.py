"""Processes of this machine: which one did something, whether it is still alive, and what memory it may take."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from functools import lru_cache
from pathlib import Path


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; "" where the system does not tell.

    A process id is used again after its process has ended; id and start together are unique.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def host_name() -> str:
    """This machine's name, in characters that a file name can hold."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"


def process_identity() -> str:
    """A name for this process that no other has: host, process id and start."""
    return _identity(os.getpid())


@lru_cache(maxsize=1)
def _identity(pid: int) -> str:
    return f"{host_name()}~{pid}~{_started(pid)}"


def _exists(pid: int) -> bool:
    if os.name == "nt":  # os.kill(pid, 0) would end the process there
        return True
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def is_alive(identity: str) -> bool | None:
    """Whether the process of that identity still runs; None for one on another machine."""
    host, pid, started = identity.split("~")
    if host != host_name():
        return None
    return _exists(int(pid)) and _started(int(pid)) == started


def process_id(identity: str) -> int:
    """The number that the process of that identity has, or had, on its machine."""
    return int(identity.split("~")[1])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_for_end(pipe: int) -> None:
    """Wait until whoever holds the other end of a pipe closes it or dies; nothing of Python's is locked meanwhile."""
    while os.read(pipe, 1 << 12):
        pass


def limit_memory(memory: int | None) -> None:
    """Let this process take so many bytes more than it has, where the system can see to that."""
    if memory is None or os.name == "nt":
        return
    import resource

    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[5]) if statm.exists() else 0
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def is_full(process: int, near: int) -> bool:
    """Whether a process has all but so many bytes of what :func:`limit_memory` lets it take; False where none says."""
    place = Path(f"/proc/{process}")
    try:
        has = int((place / "statm").read_text("ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
        limits = (place / "limits").read_text("ascii").splitlines()
    except (OSError, ValueError, IndexError):
        return False
    words = next((line.split() for line in limits if line.startswith("Max data size")), [])
    return len(words) > 3 and words[3].isdecimal() and has > int(words[3]) - near
