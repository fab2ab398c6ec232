"""Ingest the media of records ahead of their consumer, by threads or, for many files, by worker processes.

Decoding an image takes about as long as parsing its labels, and Python runs one thread at a time. A worker process
receives file paths as messages in JSON, and sends the results in the same way.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self

from saccade.app.ingest.media import IngestResult, MediaIngestor
from saccade.core.errors import SaccadeError, WorkspaceError
from saccade.core.schema import ImageRef
from saccade.formats.base import LocalFile, Record
from saccade.runtime.child_process import (
    ChildProcess,
    open_message_streams,
    read_message,
    worker_command,
    write_message,
)
from saccade.runtime.process import available_cores
from saccade.runtime.threads import map_ahead
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.blobs.blob_store import BlobStore

MIN_ITEMS_FOR_PROCESSES = 1500
"""Below this number of records, starting processes costs more than it saves."""
_THREADS = 4
_BATCH_SIZE = 16
_BATCHES_AHEAD = 4
_MAX_PROCESSES = 8
_FIELDS = tuple(field.name for field in fields(ImageRef))


class IngestPool:
    """Worker processes that ingest images, one a core. Use it as a context manager.

    The processes start before the source is parsed, so that the start-up time of Python is not waited for. They end
    with this process, however it ends, since their standard input closes.

    Args:
        enabled: If false, the pool stays empty.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled and bool(sys.executable) and not getattr(sys, "frozen", False)
        self.processes: list[ChildProcess] = []

    @classmethod
    def for_source(cls, source: Path) -> IngestPool:
        """Create a pool that is enabled if the source is a folder with many files."""
        return cls(_has_many_files(source))

    def __enter__(self) -> Self:
        count = min(_MAX_PROCESSES, available_cores()) if self._enabled else 0
        self.processes += [ChildProcess(worker_command("saccade.app.ingest.prefetch")) for _ in range(count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.close()


def _has_many_files(folder: Path) -> bool:
    count = 0
    folders = [str(folder)] if folder.is_dir() else []
    while folders and count < MIN_ITEMS_FOR_PROCESSES:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return count >= MIN_ITEMS_FOR_PROCESSES


class _Backend(Protocol):
    """Ingests batches of records; ``concurrency`` is the number of threads that may call it at once."""

    concurrency: int

    def ingest(self, batch: Sequence[Record]) -> list[IngestResult]: ...


def ingest_prefetched(
    records: Iterator[Record], ingestor: MediaIngestor, blobs: BlobBatch, total: int | None, pool: IngestPool
) -> Iterator[tuple[Record, IngestResult]]:
    """Ingest records concurrently, a bounded number ahead of the consumer, and yield them in order.

    Args:
        records: The records of the source.
        ingestor: Ingests media in this process.
        blobs: The batch of blobs that ``ingestor`` writes to.
        total: The number of records, or None if unknown.
        pool: Worker processes, used if there are at least :data:`MIN_ITEMS_FOR_PROCESSES` records.
    """
    backend: _Backend = _ThreadBackend(ingestor)
    if pool.processes and (total or 0) >= MIN_ITEMS_FOR_PROCESSES and ingestor.ingests_images and blobs.is_local:
        backend = _ProcessBackend(pool, ingestor, blobs)

    def ingest(batch: list[Record]) -> list[tuple[Record, IngestResult]]:
        return list(zip(batch, backend.ingest(batch), strict=True))

    for pairs in map_ahead(
        ingest,
        iter(lambda: list(islice(records, _BATCH_SIZE)), []),
        threads=backend.concurrency,
        ahead=_BATCHES_AHEAD * backend.concurrency,
        name="saccade-import",
    ):
        yield from pairs


class _ThreadBackend:
    concurrency = _THREADS

    def __init__(self, ingestor: MediaIngestor) -> None:
        self._ingestor = ingestor

    def ingest(self, batch: Sequence[Record]) -> list[IngestResult]:
        return [self._ingestor.ingest(record) for record in batch]


class _ProcessBackend:
    def __init__(self, pool: IngestPool, ingestor: MediaIngestor, blobs: BlobBatch) -> None:
        self._ingestor = ingestor
        self._blobs = blobs
        self.concurrency = len(pool.processes)
        self._idle: SimpleQueue[ChildProcess] = SimpleQueue()
        for process in pool.processes:
            process.send(json.dumps({**blobs.worker_settings(), "link": ingestor.is_linking}).encode())
            self._idle.put(process)

    def ingest(self, batch: Sequence[Record]) -> list[IngestResult]:
        paths = [record.media.path if record.media is not None else None for record in batch]
        if None in paths:
            # Media without a path, such as an entry of an archive, cannot be read by another process.
            return [self._ingestor.ingest(record) for record in batch]
        process = self._idle.get()
        try:
            request = [[str(path), record.frame] for path, record in zip(paths, batch, strict=True)]
            process.send(json.dumps(request).encode())
            response = json.loads(process.receive() or b"null")
        finally:
            self._idle.put(process)
        if response is None:
            raise SaccadeError(
                f"A worker process of the import exited with code {process.exit_code}, near {paths[0]}.",
                hint="It may have run out of memory. Run the import again.",
            )
        if "failed" in response:
            raise WorkspaceError(response["failed"], hint=response["hint"])
        self._blobs.attach(response["blobs"])
        return [_result_from_json(result) for result in response["results"]]


def _result_from_json(result: Any) -> IngestResult:
    if "error" in result:
        return IngestResult(SaccadeError(result["error"], hint=result["hint"]))
    return IngestResult(ImageRef(*result["ref"]), tuple((reason, detail) for reason, detail in result["warnings"]))


def _result_to_json(result: IngestResult) -> dict[str, Any]:
    if isinstance(result.ref, SaccadeError):
        return {"error": result.ref.args[0], "hint": result.ref.hint}
    return {"ref": [getattr(result.ref, name) for name in _FIELDS], "warnings": result.warnings}


def main() -> None:
    """Run a worker process: answer each list of paths with a list of results, until the messages end."""
    requests, responses = open_message_streams()
    settings = json.loads(read_message(requests) or b"null")
    if settings is None:
        return
    store = BlobStore.reopen(settings["url"], settings["scratch"])
    blobs = BlobBatch(store, Path(settings["folder"]), packed=settings["packed"])
    ingestor = MediaIngestor(blobs, link=settings["link"], keep_video=False)
    while (message := read_message(requests)) is not None:
        try:
            results = [
                ingestor.ingest(Record("", LocalFile(Path(path)), frame=frame)) for path, frame in json.loads(message)
            ]
            response = {"results": [_result_to_json(result) for result in results], "blobs": blobs.detach()}
        except WorkspaceError as error:
            response = {"failed": error.args[0], "hint": error.hint}
        write_message(responses, json.dumps(response).encode())
