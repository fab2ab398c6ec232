"""A process that has imported everything and forks a child for each task, so that a test can kill many of them.

usage: forker.py MODULE ARGUMENT…

For each line on standard input a child calls ``MODULE.task(ARGUMENT…)``. Printed are "ready", then for each child its
process id and, when it has ended, "gone" and its status.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


class Forker:
    """The forking process, as a test sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout
        assert self._line() == "ready"

    def _line(self) -> str:
        return self._output.readline().strip()

    def start(self) -> int:
        """Start a child; returns its process id."""
        self._input.write("go\n")
        self._input.flush()
        return int(self._line())

    def wait(self) -> int:
        """How the child ended: 0, or minus the signal that ended it."""
        word, status = self._line().split()
        assert word == "gone"
        return int(status)

    def kill_after(self, seconds: float) -> bool:
        """Start a child and kill it after some seconds; whether it was still at work then."""
        child = self.start()
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(child, signal.SIGKILL)
        return self.wait() != 0


@contextmanager
def forker(module: str, *arguments: Path | str) -> Iterator[Forker]:
    """A forking process for the ``task`` of a module."""
    root = Path(__file__).parents[2]
    command = [sys.executable, __file__, module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        yield Forker(process)
        process.communicate()


def _main() -> None:
    module = importlib.import_module(sys.argv[1])
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                sys.stdin.close()
                module.task(*sys.argv[2:])
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        print("gone", os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    _main()
