"""Where the items of a step are worked on."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Protocol

from saccade.core.errors import SaccadeError
from saccade.operations.base import Operation
from saccade.pipeline.cache.segments import packed
from saccade.pipeline.execution.task import Doer, Supply, Task, Work
from saccade.pipeline.execution.worker import read_message, write_message
from saccade.store.io.process import cores

_FIRST, _MOST, _GROWTH = 16, 16_384, 32
_LONG_ENOUGH = 0.5
"""Seconds of work that a batch grows to."""
_WORTH_PROCESSES = 2.0
"""Seconds of work left from which on processes are worth their start."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from saccade.pipeline.execution.worker import serve; serve()"
)


class Engine(Protocol):
    """Does the work of a step.

    ``run`` asks ``supply`` for tasks, of as many items as it sees fit, and gives the content of a segment for each, in
    any order. What it has given is kept; what it has not is done again when it is killed. Closing the iterator ends all
    work at once.
    """

    def run(self, work: Work, operation: Operation, supply: Supply, total: int) -> Iterator[bytes]: ...


class LocalEngine:
    """This machine: this process for little work, several for much or for strange code.

    Args:
        processes: how many at most; as many as there are cores where None.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or cores()

    def run(self, work: Work, operation: Operation, supply: Supply, total: int) -> Iterator[bytes]:
        done = 0
        if not work.isolated:
            spent = 0.0
            with Doer(work, operation) as doer:
                size = _FIRST
                while task := supply(size):
                    began = time.perf_counter()
                    content = packed(doer.do(task))
                    took = time.perf_counter() - began
                    yield content
                    done, spent = done + len(task), spent + took
                    size = _next_size(size, took)
                    left = (total - done) * spent / done
                    if self.processes > 1 and spent > _LONG_ENOUGH and left > _WORTH_PROCESSES:
                        break
                else:
                    return
        if done < total:
            count = min(self.processes, total - done)
            yield from _Processes(work, supply, count, total - done).results()


def _next_size(size: int, took: float) -> int:
    """How many items next, for a batch to take long enough, and to grow by steps."""
    if took <= 0:
        return min(_MOST, size * _GROWTH)
    return max(1, min(_MOST, size * _GROWTH, int(size * _LONG_ENOUGH / took)))


class _LostError(Exception):
    """A process ended or was silent for too long."""


class _Process:
    """A process that works, started anew after one is lost."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None
        self._timed_out = False
        self._lock = threading.Lock()
        self._closed = False

    def do(self, task: Task) -> bytes:
        """The content of a segment; _LostError where the process is lost, SaccadeError where it cannot work at all."""
        process = self._ready()
        assert process.stdin is not None
        limit = None if self._work.seconds is None else self._work.seconds * len(task)
        self._timed_out = False
        try:
            write_message(process.stdin, task.pack())
            answer = self._answer(process, limit)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.kill()
            raise _LostError(self._end_of(process))
        return _content(answer)

    def _end_of(self, process: subprocess.Popen[bytes]) -> str:
        """Why a process is gone, in words."""
        if self._timed_out:
            return f"It took longer than the limit of {self._work.seconds:g} seconds."
        return f"The process ended by itself (code {process.poll()})."

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            process = self._started()
            answer = self._answer(process, None)
            if answer is None:
                self.kill()
                raise SaccadeError("A process that was to work ended at its start.", hint="Is there enough memory?")
            _content(answer)
            return process
        return self._process

    def _started(self) -> subprocess.Popen[bytes]:
        """A new process that knows what its work is; _LostError where none is to be any more."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"}
        with self._lock:
            if self._closed:
                raise _LostError
            # In a session of its own: Ctrl-C ends this process, and this one ends that.
            process = self._process = subprocess.Popen(  # noqa: S603 (this very interpreter, with a program of ours)
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env=environment,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            write_message(process.stdin, json.dumps(self._work.to_json()).encode())
        return process

    def _answer(self, process: subprocess.Popen[bytes], limit: float | None) -> bytes | None:
        assert process.stdout is not None
        if limit is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                if not selector.select(limit):
                    process.kill()
                    process.wait()
                    self._timed_out = True
                    return None
        return read_message(process.stdout)

    def close(self) -> None:
        """End it for good, at once; may be called by another thread than the one that waits for an answer."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()

    def kill(self) -> None:
        """End it at once; by the thread that works with it."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _content(answer: bytes) -> bytes:
    if answer[:1] == b"E":
        raise SaccadeError(answer[1:].decode())
    return answer[1:]


class _Processes:
    """Several processes, each with a thread that gives it tasks; no more is under way than they work on."""

    def __init__(self, work: Work, supply: Supply, count: int, total: int) -> None:
        self._work, self._supply, self._left = work, supply, total
        self._lock = threading.Lock()
        self._results: Queue[bytes | BaseException | None] = Queue(maxsize=2 * count)
        self._processes = [_Process(work) for _ in range(count)]
        self._ended = threading.Event()

    def results(self) -> Iterator[bytes]:
        threads = [threading.Thread(target=self._feed, args=(process,), daemon=True) for process in self._processes]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                result = self._results.get()
                if result is None:
                    running -= 1
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result
        finally:
            self._ended.set()
            for process in self._processes:
                process.close()
            for thread in threads:
                while thread.is_alive():
                    with suppress(Empty):
                        self._results.get_nowait()
                    thread.join(0.01)

    def _feed(self, process: _Process) -> None:
        try:
            size = 1 if self._work.isolated else _FIRST
            while not self._ended.is_set():
                with self._lock:
                    # Towards the end the batches become small, so that all processes end at about the same time.
                    fair = -(-self._left // (2 * len(self._processes)))
                    task = self._supply(max(1, min(size, fair)))
                    self._left -= 0 if task is None else len(task)
                if task is None:
                    break
                began = time.perf_counter()
                for content in self._done(process, task):
                    self._results.put(content)
                size = _next_size(len(task), time.perf_counter() - began)
            self._results.put(None)
        except BaseException as error:
            self._results.put(None if self._ended.is_set() else error)
        finally:
            process.kill()

    def _done(self, process: _Process, task: Task) -> Iterator[bytes]:
        try:
            yield process.do(task)
        except _LostError as error:
            if self._ended.is_set():
                return
            if len(task) == 1:
                yield packed(task.failed(str(error), self._work.writes))
                return
            for single in task.singles():
                yield from self._done(process, single)


def engine_named(name: str, **options: Any) -> Engine:
    """The engine of that name."""
    if name != "local":
        raise SaccadeError(f"There is no engine '{name}'.", hint="Known: local.")
    return LocalEngine(**options)
