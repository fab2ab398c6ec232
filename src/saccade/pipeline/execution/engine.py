"""Engines: they run the item batches of a step, in this process or in worker processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol

from saccade.core.errors import SaccadeError
from saccade.operations.base import Operation
from saccade.pipeline.cache.segments import serialize_batch
from saccade.pipeline.execution.task import StepSpec, TaskBatch, TaskRunner, TaskSupplier
from saccade.runtime.child_process import ChildProcess, worker_command
from saccade.runtime.process import available_cores
from saccade.store.io.scratch import ScratchDir

_INITIAL_BATCH = 16
_MAX_BATCH = 16_384
_MAX_GROWTH = 32
"""The largest factor by which the batch size grows from one batch to the next."""
_TARGET_BATCH_S = 0.5
"""The computing time that the batch size aims at, in seconds."""
_MIN_PARALLEL_S = 2.0
"""The remaining computing time, in seconds, that justifies the start of worker processes."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"}
"""One thread per process: the processes use all cores already."""


class Engine(Protocol):
    """Runs a per-item step."""

    def run(self, spec: StepSpec, operation: Operation, next_task: TaskSupplier, total: int) -> Iterator[bytes]:
        """Run all items of a step.

        What has been yielded is kept if the run is killed; the rest is computed again. Closing the iterator stops all
        work immediately.

        Args:
            spec: the step.
            operation: its operation.
            next_task: returns the next batch; the engine chooses the batch sizes.
            total: the number of items.

        Yields:
            The content of a segment for each batch, in any order.
        """
        ...


class LocalEngine:
    """Runs on this machine: small steps in this process, large or isolated ones in worker processes.

    Args:
        processes: the maximal number of worker processes; None: the number of available cores.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or available_cores()

    def run(self, spec: StepSpec, operation: Operation, next_task: TaskSupplier, total: int) -> Iterator[bytes]:
        done = 0
        if not spec.isolated:
            elapsed = 0.0
            with TaskRunner(spec, operation) as runner:
                size = _INITIAL_BATCH
                while task := next_task(size):
                    started = time.perf_counter()
                    content = serialize_batch(runner.run(task))
                    duration = time.perf_counter() - started
                    yield content
                    done += len(task)
                    elapsed += duration
                    size = _next_size(size, duration)
                    # Start worker processes only once it is clear that the step takes longer than their start.
                    remaining = (total - done) * elapsed / done
                    if self.processes > 1 and elapsed > _TARGET_BATCH_S and remaining > _MIN_PARALLEL_S:
                        break
                else:
                    return
        if done < total:
            count = min(self.processes, total - done)
            yield from _WorkerPool(spec, next_task, count, total - done).results()


def _next_size(size: int, duration: float) -> int:
    """Return the next batch size, aiming at the target duration and growing in limited steps."""
    if duration <= 0:
        return min(_MAX_BATCH, size * _MAX_GROWTH)
    return max(1, min(_MAX_BATCH, size * _MAX_GROWTH, int(size * _TARGET_BATCH_S / duration)))


class _WorkerLostError(Exception):
    """A worker process exited or exceeded its time limit."""


class _WorkerProcess:
    """A worker process that is restarted on the next task after it is lost."""

    def __init__(self, spec: StepSpec) -> None:
        self._spec = spec
        self._process: ChildProcess | None = None
        self._lock = threading.Lock()
        self._closed = False

    def run(self, task: TaskBatch) -> bytes:
        """Run a batch and return the content of a segment.

        Raises:
            _WorkerLostError: the process exited or exceeded its time limit.
            SaccadeError: the process cannot run the step at all.
        """
        process = self._ensure_started()
        limit = None if self._spec.seconds is None else self._spec.seconds * len(task)
        process.send(task.serialize())
        try:
            response = process.receive(limit)
        except TimeoutError:
            self.kill()
            raise _WorkerLostError(f"It exceeded the time limit of {self._spec.seconds:g} seconds.") from None
        if response is None:
            self.kill()
            raise _WorkerLostError(f"The worker process exited unexpectedly (code {process.exit_code}).")
        return _unwrap_response(response)

    def _ensure_started(self) -> ChildProcess:
        if self._process is None:
            process = self._start()
            response = process.receive()
            if response is None:
                self.kill()
                raise SaccadeError("A worker process exited on start.", hint="Is there enough memory?")
            _unwrap_response(response)
            return process
        return self._process

    def _start(self) -> ChildProcess:
        """Start a process and send it the step; raise _WorkerLostError if the pool is closed."""
        with self._lock:
            if self._closed:
                raise _WorkerLostError
            process = self._process = ChildProcess(
                worker_command("saccade.pipeline.execution.worker"), environment=_ONE_THREAD
            )
        process.send(json.dumps(self._spec.to_json()).encode())
        return process

    def close(self) -> None:
        """Kill the process and prevent a restart; safe to call while another thread waits for a response."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()

    def kill(self) -> None:
        """Kill the process and release its pipes; only for the thread that uses the process."""
        with self._lock:
            process = self._process
            self._process = None
        if process is not None:
            process.close()
            # A killed process leaves its own temporary folder.
            ScratchDir(Path(self._spec.store[1])).remove_folders_of(process.pid)


def _unwrap_response(response: bytes) -> bytes:
    if response[:1] == b"E":
        raise SaccadeError(response[1:].decode())
    return response[1:]


class _WorkerPool:
    """Worker processes, each fed by a thread; at most as many batches are in flight as there are processes."""

    def __init__(self, spec: StepSpec, next_task: TaskSupplier, count: int, total: int) -> None:
        self._spec = spec
        self._next_task = next_task
        self._remaining = total
        self._lock = threading.Lock()
        self._results: Queue[bytes | BaseException | None] = Queue(maxsize=2 * count)
        self._processes = [_WorkerProcess(spec) for _ in range(count)]
        self._stopped = threading.Event()

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
            self._stopped.set()
            for process in self._processes:
                process.close()
            for thread in threads:
                while thread.is_alive():
                    # A thread may be blocked because the queue is full.
                    with suppress(Empty):
                        self._results.get_nowait()
                    thread.join(0.01)

    def _feed(self, process: _WorkerProcess) -> None:
        try:
            size = 1 if self._spec.isolated else _INITIAL_BATCH
            while not self._stopped.is_set():
                with self._lock:
                    # Towards the end the batches become small, so that all processes end at about the same time.
                    fair_share = -(-self._remaining // (2 * len(self._processes)))
                    task = self._next_task(max(1, min(size, fair_share)))
                    self._remaining -= 0 if task is None else len(task)
                if task is None:
                    break
                started = time.perf_counter()
                for content in self._run_task(process, task):
                    self._results.put(content)
                size = _next_size(len(task), time.perf_counter() - started)
            self._results.put(None)
        except BaseException as error:
            self._results.put(None if self._stopped.is_set() else error)
        finally:
            process.kill()

    def _run_task(self, process: _WorkerProcess, task: TaskBatch) -> Iterator[bytes]:
        try:
            yield process.run(task)
        except _WorkerLostError as error:
            if self._stopped.is_set():
                return
            if len(task) == 1:
                yield serialize_batch(task.failed_result(str(error), self._spec.output_columns))
                return
            # Run the items one by one to find the ones that kill the process.
            for part in task.split():
                yield from self._run_task(process, part)


def create_engine(name: str, **options: Any) -> Engine:
    """Create an engine by name.

    Args:
        name: the name; only ``local`` exists.
        options: keyword arguments of the engine.

    Raises:
        SaccadeError: there is no such engine.
    """
    if name != "local":
        raise SaccadeError(f"Unknown engine '{name}'.", hint="Available: local.")
    return LocalEngine(**options)
