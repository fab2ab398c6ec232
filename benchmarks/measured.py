"""A program run as processes of its own, with the most memory that all of them together held."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


def run_measured(command: list[str], env: Mapping[str, str] | None = None) -> tuple[str, float]:
    """What it prints, and megabytes at the peak: pages that processes share are counted once (Linux's PSS).

    The largest size that the system keeps for a process that has ended begins before its program is loaded, with that
    of the process which made it, so it is asked for while they run.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_mb(process.pid))
        time.sleep(0.1)
    out, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return out, peak


def memory_mb(pid: int) -> float:
    """Megabytes that a process and those that it has made hold now."""
    return sum(_pss_kb(one) for one in _family(pid)) / 1024


def _family(pid: int) -> list[int]:
    """A process and those that it has made, as far as they are there."""
    found = [pid]
    for each in found:
        try:
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except OSError:
            continue
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
