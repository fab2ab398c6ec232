"""Processes: lease owner ids, liveness checks, CPU count and memory limits."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from functools import lru_cache
from pathlib import Path


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since boot, or "" if the system does not say.

    The system reuses process ids; id and start time together are unique.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def host_name() -> str:
    """Return the name of this machine, with only characters that a file name may contain."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"


def lease_owner_id() -> str:
    """Return the unique id of this process, ``host~pid~start``, with which it owns leases and scratch folders."""
    return _lease_owner_id(os.getpid())


@lru_cache(maxsize=1)
def _lease_owner_id(pid: int) -> str:
    return f"{host_name()}~{pid}~{_start_time(pid)}"


def _exists(pid: int) -> bool:
    if os.name == "nt":  # os.kill(pid, 0) would terminate the process on Windows
        return True
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def is_alive(owner_id: str) -> bool | None:
    """Return whether the process with a lease owner id still runs; None if it is on another machine."""
    host, pid, start_time = owner_id.split("~")
    if host != host_name():
        return None
    return _exists(int(pid)) and _start_time(int(pid)) == start_time


def pid_of(owner_id: str) -> int:
    """Return the process id in a lease owner id."""
    return int(owner_id.split("~")[1])


def available_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_for_eof(pipe: int) -> None:
    """Block until the other end of a pipe is closed or its process dies; holds no Python lock while it waits."""
    while os.read(pipe, 1 << 12):
        pass


def limit_memory(headroom: int | None) -> None:
    """Limit the data segment of this process to its current size plus ``headroom`` bytes.

    Does nothing if ``headroom`` is None, and on Windows, which has no such limit.
    """
    if headroom is None or os.name == "nt":
        return
    import resource

    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[5]) if statm.exists() else 0
    limit = pages * resource.getpagesize() + headroom
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def is_memory_exhausted(pid: int, margin: int) -> bool:
    """Return whether a process is within ``margin`` bytes of the limit that :func:`limit_memory` set.

    False if it has no limit, or if the system does not say.
    """
    folder = Path(f"/proc/{pid}")
    try:
        used = int((folder / "statm").read_text("ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
        limits = (folder / "limits").read_text("ascii").splitlines()
    except (OSError, ValueError, IndexError):
        return False
    words = next((line.split() for line in limits if line.startswith("Max data size")), [])
    return len(words) > 3 and words[3].isdecimal() and used > int(words[3]) - margin
