"""Files taken in ahead of what uses them: by threads, or for many files by processes of their own.

Python looks at one thing at a time in a process, and a file takes as long to look at as its labels. A process is given
paths as lines of JSON, and answers in the same way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self

from saccade.app.ingest.media import Intake, Taken
from saccade.core.errors import SaccadeError, WorkspaceError
from saccade.core.schema import ImageRef
from saccade.formats.base import LocalFile, Record
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.io.process import cores

MANY = 1500
"""From how many records on processes are worth their start."""
_THREADS = 4
_TOGETHER = 16
_MOST_PROCESSES = 8
_FIELDS = tuple(field.name for field in fields(ImageRef))
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from saccade.app.ingest.prefetch import serve; serve()"
)


class Helpers:
    """Processes that take in images, as many as there are cores; they end with this one, however it ends.

    They are started before it is known what they are to do, because that takes its time.

    Args:
        wanted: whether any are worth it.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted and bool(sys.executable) and not getattr(sys, "frozen", False)
        self.processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    def for_source(cls, source: Path) -> Helpers:
        """Where a folder holds many files."""
        return cls(_holds_many(source))

    def __enter__(self) -> Self:
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)]
        for _ in range(min(_MOST_PROCESSES, cores()) if self._wanted else 0):
            # In a session of its own: Ctrl-C ends this process, and this one ends that.
            process = subprocess.Popen(  # noqa: S603 (this very interpreter, with a program of ours)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self.processes.append(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()


def _holds_many(folder: Path) -> bool:
    count, folders = 0, [str(folder)] if folder.is_dir() else []
    while folders and count < MANY:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return count >= MANY


class _Taker(Protocol):
    """Takes in the files of some records; by as many threads at once as ``places`` says."""

    places: int

    def take(self, part: Sequence[Record]) -> list[Taken]: ...


def taken_ahead(
    records: Iterator[Record], intake: Intake, objects: ObjectBatch, total: int | None, helpers: Helpers
) -> Iterator[tuple[Record, Taken]]:
    """Records in order with their files taken in, a few ahead, several at a time."""
    taker: _Taker = _Threads(intake)
    if helpers.processes and (total or 0) >= MANY and intake.takes_images and objects.is_local:
        taker = _Processes(helpers, intake, objects)
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(taker.places, thread_name_prefix="saccade-import")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[list[Record], Future[list[Taken]]]] = deque()
        while part := list(islice(records, _TOGETHER)):
            waiting.append((part, pool.submit(taker.take, part)))
            if len(waiting) >= 4 * taker.places:
                first, result = waiting.popleft()
                yield from zip(first, result.result(), strict=True)
        while waiting:
            first, result = waiting.popleft()
            yield from zip(first, result.result(), strict=True)


class _Threads:
    """Takes in files in this process."""

    places = _THREADS

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def take(self, part: Sequence[Record]) -> list[Taken]:
        return [self._intake.take(record) for record in part]


class _Processes:
    """Takes in files by the helpers."""

    def __init__(self, helpers: Helpers, intake: Intake, objects: ObjectBatch) -> None:
        self._intake, self._objects = intake, objects
        self.places = len(helpers.processes)
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in helpers.processes:
            _send(process, {**objects.for_process(), "link": intake.is_linking})
            self._idle.put(process)

    def take(self, part: Sequence[Record]) -> list[Taken]:
        paths = [record.media.path if record.media is not None else None for record in part]
        if None in paths:
            return [self._intake.take(record) for record in part]
        process = self._idle.get()
        try:
            _send(process, [[str(path), record.frame] for path, record in zip(paths, part, strict=True)])
            assert process.stdout is not None
            answer = json.loads(process.stdout.readline() or b"null")
        finally:
            self._idle.put(process)
        if answer is None:
            raise SaccadeError(
                f"The process that looks at images ended by itself (code {process.poll()}), near {paths[0]}.",
                hint="Is there enough memory? Run it again.",
            )
        if "failed" in answer:
            raise WorkspaceError(answer["failed"], hint=answer["hint"])
        self._objects.adopt(answer["kept"])
        return [_taken(one) for one in answer["taken"]]


def _send(process: subprocess.Popen[bytes], value: Any) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended, which reading its answer shows
        process.stdin.write(_line(value))
        process.stdin.flush()


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _taken(answer: Any) -> Taken:
    if "error" in answer:
        return Taken(SaccadeError(answer["error"], hint=answer["hint"]))
    return Taken(ImageRef(*answer["ref"]), tuple((reason, detail) for reason, detail in answer["notes"]))


def _answer(taken: Taken) -> dict[str, Any]:
    if isinstance(taken.ref, SaccadeError):
        return {"error": taken.ref.args[0], "hint": taken.ref.hint}
    return {"ref": [getattr(taken.ref, name) for name in _FIELDS], "notes": taken.notes}


def serve() -> None:
    """Answer lines of paths with what became of the files, until there are no more lines."""
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    settings = json.loads(lines.readline())
    store = ObjectStore.at(settings["url"], settings["scratch"])
    objects = ObjectBatch(store, Path(settings["folder"]), packed=settings["packed"])
    intake = Intake(objects, link=settings["link"], whole=False)
    for line in lines:
        try:
            taken = [intake.take(Record("", LocalFile(Path(path)), frame=frame)) for path, frame in json.loads(line)]
            answer = {"taken": [_answer(one) for one in taken], "kept": objects.handed_over()}
        except WorkspaceError as error:
            answer = {"failed": error.args[0], "hint": error.hint}
        out.write(_line(answer))
        out.flush()
