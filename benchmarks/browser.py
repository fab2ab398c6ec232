"""Chromium for the benchmarks of the web app: how it is started, its CPU time, and the times of its frames."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measured import process_tree
from playwright.sync_api import Browser, sync_playwright

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""Without a GPU, as on a virtual desktop."""
RECORD_FRAMES = """() => {
  window.frameTimes = []
  const record = now => { window.frameTimes.push(now); window.recording = requestAnimationFrame(record) }
  window.recording = requestAnimationFrame(record)
}"""
FRAME_GAPS = """() => {
  cancelAnimationFrame(window.recording)
  return window.frameTimes.slice(1).map((time, index) => time - window.frameTimes[index])
}"""
"""The milliseconds between the frames since RECORD_FRAMES."""
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of the system."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


def chromium_cpu_ms() -> float:
    """Return the CPU time of all Chromium processes that this process started; the driver is a Node process."""
    return sum(_cpu_ms(pid) for pid in process_tree(os.getpid()))


def percentile_95(values: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def _cpu_ms(pid: int) -> float:
    try:
        # The name of the program is in brackets and may contain spaces.
        name, _, fields = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return 0
    if not name.startswith("chrom"):
        return 0
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) * 1000 / _TICKS_PER_SECOND
