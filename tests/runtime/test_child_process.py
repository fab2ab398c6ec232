"""Child processes: messages, time limits, and the end of the whole process group."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.runtime.child_process import ChildProcess, read_message, worker_command, write_message

pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses process groups")

PROGRAM = """
import os, subprocess, sys, time
from saccade.runtime.child_process import open_message_streams, read_message, write_message

def main():
    requests, responses = open_message_streams()
    while (message := read_message(requests)) is not None:
        print("not a message", flush=True)
        command, _, argument = message.decode().partition(" ")
        if command == "read":
            write_message(responses, sys.stdin.read().encode())
        elif command == "large":
            write_message(responses, b"x" * int(argument))
        elif command == "environment":
            write_message(responses, os.environ.get(argument, "").encode())
        elif command == "crash":
            os._exit(3)
        elif command == "child":
            child = subprocess.Popen(["sleep", "600"])
            write_message(responses, str(child.pid).encode())
        elif command == "hang":
            os.write(responses.fileno(), b"half")  # of the length
            time.sleep(600)
        else:
            write_message(responses, message)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ChildProcess]:
    (tmp_path / "echo_program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda **options: ChildProcess(worker_command("echo_program"), **options)


def wait_until_gone(pid: int) -> None:
    """Wait until a process has ended; a zombie that the system has not reaped yet counts."""
    with suppress(OSError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)


def test_messages_are_apart_from_what_the_child_prints(start: Callable[..., ChildProcess]) -> None:
    process = start(environment={"SACCADE_EXAMPLE": "17"})
    try:
        for content in (b"one", b"", "zwölf\n".encode(), b"x" * 300_000):
            process.send(content)
            assert process.receive() == content
        process.send(b"read")  # a plugin that reads standard input gets nothing
        assert process.receive() == b""
        process.send(b"environment SACCADE_EXAMPLE")
        assert process.receive() == b"17"
        assert process.exit_code is None
    finally:
        process.close()
    assert process.exit_code == -signal.SIGKILL


def test_a_crash_ends_the_messages(start: Callable[..., ChildProcess]) -> None:
    process = start()
    process.send(b"crash")
    assert process.receive() is None
    assert process.wait() == 3
    process.send(b"anything")  # is not an error: the next receive reports the exit
    assert process.receive(10) is None
    process.close()


def test_a_timeout_kills_the_process_and_its_children(start: Callable[..., ChildProcess]) -> None:
    process = start()
    process.send(b"child")
    child = int(process.receive() or b"0")
    process.send(b"hang")
    with pytest.raises(TimeoutError):
        process.receive(0.2)
    wait_until_gone(child)
    process.close()
    assert process.exit_code == -signal.SIGKILL


def test_too_large_a_message_counts_as_an_exit(start: Callable[..., ChildProcess]) -> None:
    process = start()
    process.send(b"large 1000")
    assert process.receive(max_bytes=1000) == b"x" * 1000
    process.send(b"large 1001")
    assert process.receive(max_bytes=1000) is None
    process.close()


def test_another_thread_can_kill_the_process_during_a_wait(start: Callable[..., ChildProcess]) -> None:
    process = start()
    process.send(b"hang")
    timer = threading.Timer(0.2, process.kill)
    timer.start()
    assert process.receive() is None
    timer.join()
    process.close()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = ChildProcess(["sh", "-c", "trap '' TERM; echo ready; sleep 600 & wait; wait"], log=log)
        while not (tmp_path / "log").read_bytes():
            time.sleep(0.01)
        process.terminate()
        assert process.wait(0.2) == -signal.SIGKILL
        process.close()
    assert (tmp_path / "log").read_bytes() == b"ready\n"


@given(st.lists(st.binary(max_size=300)), st.integers(0, 400))
def test_messages_survive_a_stream_and_a_cut_is_the_end(messages: list[bytes], missing: int) -> None:
    stream = io.BytesIO()
    ends = [0]
    for message in messages:
        write_message(stream, message)
        ends.append(stream.tell())
    content = stream.getvalue()[: max(0, ends[-1] - missing)]
    received = []
    source = io.BytesIO(content)
    while (next_message := read_message(source)) is not None:
        received.append(next_message)
    assert received == messages[: sum(end <= len(content) for end in ends[1:])]
