"""Child processes: messages with time limits, and a kill that includes their own children."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

_LENGTH_PREFIX = struct.Struct("<Q")


def worker_command(module: str) -> list[str]:
    """Return the command that calls ``main()`` of a module with this interpreter and its module path."""
    program = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    return [sys.executable, "-c", program, json.dumps(sys.path)]


class ChildProcess:
    """A process that exchanges messages with this one.

    Its standard input is a pipe that ends with this process, however that ends: the child must then exit. It has a
    session of its own: Ctrl-C interrupts only this process, which then stops the child.

    Args:
        command: the command.
        has_messages: whether it sends messages; if not, its standard output is that of this process.
        log: the file that gets its standard output and errors instead.
        environment: variables to add to those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        has_messages: bool = True,
        log: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (this program itself)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if has_messages and log is None else log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def send(self, message: bytes) -> None:
        """Send a message. If the process has exited, :meth:`receive` reports that."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            write_message(self._process.stdin, message)

    def receive(self, timeout_s: float | None = None, max_bytes: int | None = None) -> bytes | None:
        """Receive a message.

        Args:
            timeout_s: how long to wait; the process is killed after that.
            max_bytes: the largest message to accept; larger ones count as an exit.

        Returns:
            The message, or None if the process exited.

        Raises:
            TimeoutError: there was no complete message in time.
        """
        assert self._process.stdout is not None
        if timeout_s is None:
            return read_message(self._process.stdout, max_bytes)
        has_expired = threading.Event()

        def expire() -> None:
            has_expired.set()
            self.kill()

        timer = threading.Timer(timeout_s, expire)
        timer.daemon = True
        timer.start()
        try:
            message = read_message(self._process.stdout, max_bytes)
        finally:
            timer.cancel()
        if has_expired.is_set():
            raise TimeoutError
        return message

    def terminate(self) -> None:
        """Ask the process to exit (SIGTERM)."""
        self._process.terminate()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until the process has exited, and kill it after ``timeout_s``. Returns the exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def kill(self) -> None:
        """Kill the process and its children; safe to call while another thread waits for a message."""
        if self._process.returncode is not None:
            return  # the system may have given its id to another process
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def close(self) -> None:
        """Kill the process if it runs, and close its pipes; only for the thread that exchanges messages with it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a message that was not sent completely
                    pipe.close()


def read_message(stream: IO[bytes], max_bytes: int | None = None) -> bytes | None:
    """Read a message, which is preceded by its length as a 64-bit integer.

    Returns None at the end of the stream, or if the message is larger than ``max_bytes``.
    """
    prefix = _read_exactly(stream, _LENGTH_PREFIX.size)
    if prefix is None:
        return None
    length = _LENGTH_PREFIX.unpack(prefix)[0]
    return None if max_bytes is not None and length > max_bytes else _read_exactly(stream, length)


def write_message(stream: IO[bytes], body: bytes) -> None:
    """Write a message for :func:`read_message`."""
    stream.write(_LENGTH_PREFIX.pack(len(body)))
    stream.write(body)
    stream.flush()


def _read_exactly(stream: IO[bytes], count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def open_message_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return standard input and output for messages, in a child process.

    Other code, such as a plugin, must not mix with the messages: it reads nothing, and what it prints goes to standard
    error.
    """
    requests = os.fdopen(os.dup(0), "rb")
    responses = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, responses
