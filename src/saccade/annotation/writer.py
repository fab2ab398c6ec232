"""Group commit: one thread writes the edits of all clients, and as many as have gathered in one transaction.

A commit that is on the disk takes milliseconds, however many rows it has. One commit for each request would limit a
workspace to about a hundred edits a second.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from saccade.annotation.edit_log import ClassCache, EditBatch, append
from saccade.annotation.records import AppliedEdit
from saccade.core.errors import SaccadeError, WorkspaceError
from saccade.store.catalog.session import Catalog

MAX_WAITING = 2000
"""Batches that may wait. Beyond, clients are told to try again, rather than to wait longer and longer."""
_MAX_EDITS = 2000
"""Edits of one transaction, so that other writers and the first of the batches do not wait for long."""
_log = logging.getLogger("saccade.annotation")
Listener = Callable[[int, Sequence[AppliedEdit]], None]
"""Called with the id of a set and the edits that were written to it."""
_Future = Future[EditBatch] | asyncio.Future[EditBatch]
_Waiting = tuple[EditBatch, _Future]
_Outcome = tuple[_Future, EditBatch | Exception]


class EditWriter:
    """Writes batches of edits in one thread, which starts with the first one.

    Args:
        catalog: the catalog; edits of all its projects are written.
        listener: called in the thread after a transaction, for each set with new edits.
    """

    def __init__(self, catalog: Catalog, listener: Listener | None = None) -> None:
        self._catalog = catalog.unscoped
        self._listener = listener
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._class_cache = ClassCache()

    def submit(self, batch: EditBatch) -> Future[EditBatch]:
        """Enqueue a batch. The future has it with its results once they are on the disk.

        The future raises NotFoundError if the set was removed, and StorageFullError if the disk is full; then no edit
        of the batch was applied.

        Raises:
            WorkspaceError: the writer is closed, or too many batches wait.
        """
        future: Future[EditBatch] = Future()
        self._enqueue(batch, future)
        return future

    def submit_async(self, batch: EditBatch) -> asyncio.Future[EditBatch]:
        """Enqueue a batch as :meth:`submit` does, from an event loop.

        The loop is woken once for all batches of a transaction.
        """
        future: asyncio.Future[EditBatch] = asyncio.get_running_loop().create_future()
        self._enqueue(batch, future)
        return future

    def _enqueue(self, batch: EditBatch, future: _Future) -> None:
        with self._lock:
            if self._is_closed:
                raise WorkspaceError("The server is stopping.", hint="Send the edits again; nothing is lost.")
            try:
                self._queue.put_nowait((batch, future))
            except queue.Full:
                raise WorkspaceError(
                    f"More than {MAX_WAITING:,} requests wait for the disk.",
                    hint="Send the edits again in a few seconds; nothing is lost.",
                ) from None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="saccade-edits", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what waits, and stop. Safe to call twice."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None and thread.is_alive():
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting = [first]
            count = len(first[0].edits)
            is_last = False
            while count < _MAX_EDITS:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    is_last = True
                    break
                waiting.append(following)
                count += len(following[0].edits)
            self._write(waiting)
            if is_last:
                return

    def _write(self, waiting: Sequence[_Waiting]) -> None:
        by_set: dict[int, list[EditBatch]] = {}
        for batch, _ in waiting:
            by_set.setdefault(batch.set_id, []).append(batch)
        try:
            with self._catalog.write_tx(changes_access=False) as session:
                logged = {
                    set_id: append(session, set_id, batches, self._class_cache) for set_id, batches in by_set.items()
                }
        except WorkspaceError as error:  # a full disk or an unusable database concerns all of them
            _finish((future, error) for _, future in waiting)
        except Exception as error:
            if len(waiting) == 1:
                if not isinstance(error, SaccadeError):
                    _log.exception("cannot write edits")
                _finish([(waiting[0][1], error)])
                return
            # Nothing was written. One by one, so that only the batch that is to blame fails.
            for entry in waiting:
                self._write([entry])
        else:
            self._notify(logged)
            _finish((future, batch) for batch, future in waiting)

    def _notify(self, logged: dict[int, list[AppliedEdit]]) -> None:
        for set_id, edits in logged.items():
            if edits and self._listener is not None:
                try:
                    self._listener(set_id, edits)
                except Exception:
                    _log.exception("cannot announce edits")


def _finish(outcomes: Iterable[_Outcome]) -> None:
    """Set the results or exceptions of futures; those of an event loop in its thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for future, outcome in outcomes:
        if isinstance(future, asyncio.Future):
            by_loop.setdefault(future.get_loop(), []).append((future, outcome))
        else:
            _set_outcomes([(future, outcome)])
    for loop, entries in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nothing waits any more
            loop.call_soon_threadsafe(_set_outcomes, entries)


def _set_outcomes(outcomes: Iterable[_Outcome]) -> None:
    for future, outcome in outcomes:
        with suppress(InvalidStateError, asyncio.InvalidStateError):  # the request was cancelled
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
