"""A fork server: it imports a module once and forks a child for each task, so that a test can kill many children.

usage: fork_server.py MODULE ARGUMENT…

For each line on standard input a child calls ``MODULE.task(ARGUMENT…)``. The server prints "ready", then for each child
its process id and, after it has ended, "exited" and its exit code.
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


class ForkServer:
    """The client of a fork server process."""

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
        """Wait for the child and return its exit code, minus the signal number if it was killed."""
        word, exit_code = self._line().split()
        assert word == "exited"
        return int(exit_code)

    def kill_after(self, seconds: float) -> bool:
        """Start a child and kill it after some seconds; returns whether it was still running."""
        child = self.start()
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it may have ended on its own
            os.kill(child, signal.SIGKILL)
        return self.wait() != 0


@contextmanager
def fork_server(module: str, *arguments: Path | str) -> Iterator[ForkServer]:
    """Run a fork server for the ``task`` of a module."""
    root = Path(__file__).parents[2]
    command = [sys.executable, __file__, module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        yield ForkServer(process)
        process.communicate()


def _main() -> None:
    module = importlib.import_module(sys.argv[1])
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            exit_code = 1
            try:
                sys.stdin.close()
                module.task(*sys.argv[2:])
                exit_code = 0
            finally:
                os._exit(exit_code)
        print(child, flush=True)
        _, wait_status = os.waitpid(child, 0)
        print("exited", os.waitstatus_to_exitcode(wait_status), flush=True)


if __name__ == "__main__":
    _main()
