"""Run a program and measure the peak memory of its process tree."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


def run_measured(command: list[str], env: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run a command and return its output and the peak memory in megabytes; shared pages count once (Linux PSS).

    Memory is sampled while the processes run: the maximum RSS that the system reports for a finished process includes
    that of its parent before the exec.
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
    """Return the current memory of a process and its descendants in megabytes."""
    return sum(_pss_kb(process) for process in process_tree(pid)) / 1024


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and its running descendants."""
    pids = [pid]
    for parent in pids:
        try:
            pids += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
        except OSError:
            continue
    return pids


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
