"""A worker: takes jobs one after the other, each into a process of its own, and sees to its end.

It also sends to webhooks what they are to be told.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from saccade.app.jobs.run_job import folder_of
from saccade.app.webhooks.sender import Deliverer
from saccade.core.errors import SaccadeError
from saccade.store.io.process import is_full, process_identity
from saccade.store.jobs.jobs import Job
from saccade.store.workspace import Workspace

_PAUSE, _PATIENCE = 0.25, 15.0
_AFTER, _GLANCE = 4.0, 0.1
"""Seconds after which workers begin with nothing to do, and after which is looked whether there is something."""
_FULL, _NEAR = 5.0, 1 << 20
"""Seconds after which a process is ended that has all but so many bytes of its memory: it may crawl there for hours."""


@dataclass(slots=True)
class _Hand:
    """A job that is being done."""

    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    full_since: float | None = None


class Worker:
    """Does the jobs of a workspace, ``at_once`` at a time, until :meth:`stop`.

    Args:
        memory: bytes that a job may take beyond what its process begins with; None for no limit.
        private: webhooks may lead to addresses that are not of the public internet, too.
    """

    def __init__(
        self, workspace: Workspace, *, at_once: int = 1, memory: int | None = None, private: bool = False
    ) -> None:
        self._workspace, self._at_once, self._memory = workspace, at_once, memory
        self._deliverer = Deliverer(workspace, private=private)
        self._identity = process_identity()
        self._hands: list[_Hand] = []
        self._stop = threading.Event()

    def stop(self, *_: Any) -> None:
        self._stop.set()

    def run(self) -> None:
        """Work until told to stop; jobs that are under way then are left for the next worker to take up."""
        self._deliverer.start()
        try:
            while not self._stop.wait(_PAUSE):
                with suppress(SaccadeError):  # a database that is busy or away for a moment
                    self._look_after()
                    while len(self._hands) < self._at_once and (job := self._workspace.jobs.claim(self._identity)):
                        self._begin(job)
        finally:
            self._end()

    def _begin(self, job: Job) -> None:
        folder = folder_of(self._workspace, job.id)
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / "log.txt").open("ab")
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {job.title} (attempt {job.attempts})\n".encode())
        log.flush()
        command = [
            sys.executable,
            "-m",
            "saccade.app.jobs.run_job",
            str(self._workspace.location),
            job.id,
            self._identity,
            str(self._memory or 0),
        ]
        process = subprocess.Popen(  # noqa: S603 (this program itself)
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
        self._hands.append(_Hand(job, process, log))

    def _look_after(self) -> None:
        for hand in list(self._hands):
            if hand.process.poll() is not None:
                self._let_go(hand)
            elif self._memory is not None and _is_stuck(hand):
                hand.log.write(f"{time.strftime('%H:%M:%S')} Its memory is used up.\n".encode())
                hand.process.kill()

    def _let_go(self, hand: _Hand) -> None:
        code = hand.process.wait()
        if code:
            hand.log.write(f"{time.strftime('%H:%M:%S')} The process ended with {_ending(code)}.\n".encode())
        self._workspace.jobs.release(hand.job.id, self._identity, counts=bool(code) and not self._stop.is_set())
        hand.log.close()
        _close(hand.process)
        self._hands.remove(hand)

    def _end(self) -> None:
        self._deliverer.stop()
        for hand in self._hands:
            hand.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _PATIENCE
        for hand in list(self._hands):
            try:
                hand.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                hand.process.kill()
            with suppress(SaccadeError):
                self._let_go(hand)
        self._deliverer.join(until - time.monotonic())


def _is_stuck(hand: _Hand) -> bool:
    """Whether its process has had no memory left for a while."""
    if not is_full(hand.process.pid, _NEAR):
        hand.full_since = None
        return False
    hand.full_since = hand.full_since or time.monotonic()
    return time.monotonic() - hand.full_since > _FULL


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL, which is what the system sends where memory runs out"
    return signal.Signals(-code).name if code < 0 else f"code {code}"


class Workers:
    """Worker processes beside the server, begun anew where one dies.

    They begin when there is something to do, or a moment after the server: whoever looks at it first need not wait for
    them.
    """

    def __init__(self, workspace: Workspace, count: int, memory: int | None = None, *, private: bool = False) -> None:
        self._command = [
            sys.executable,
            "-m",
            "saccade",
            "worker",
            "--workspace",
            str(workspace.location.parent),
            "--at-once",
            "1",
            *([] if memory is None else ["--memory", str(memory >> 20)]),
            "--until-input-ends",
            *(["--private-network"] if private else []),
        ]
        self._jobs, self._outbox, self._count = workspace.jobs, workspace.outbox, count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="saccade-workers", daemon=True)

    def start(self) -> None:
        if self._count:
            self._thread.start()

    def _watch(self) -> None:
        until, pause = time.monotonic() + _AFTER, 0.0
        while time.monotonic() < until and not self._ended.wait(_GLANCE):
            with suppress(SaccadeError):
                if self._jobs.are_left() or self._outbox.is_due():
                    break
        while not self._ended.wait(pause):
            died = [one for one in self._processes if one.poll() is not None]
            for one in died:
                _close(one)
                self._processes.remove(one)
            while len(self._processes) < self._count:
                process = subprocess.Popen(  # noqa: S603 (this program itself)
                    self._command, stdin=subprocess.PIPE, start_new_session=True
                )
                self._processes.append(process)
            pause = 2.0 if died else 0.5

    def close(self) -> None:
        """End them, and wait until they have put away what they were at."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for one in self._processes:
            one.send_signal(signal.SIGTERM)
        for one in self._processes:
            try:
                one.wait(_PATIENCE + 5)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
            _close(one)


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
