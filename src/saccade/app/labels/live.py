"""Labelling by many people at once in a server: group commit of their edits, events, and presence."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from sqlalchemy import select

from saccade.annotation.edit_log import EditBatch, read_classes, read_log
from saccade.annotation.label_sets import LabelSets, find_label_set
from saccade.annotation.records import AppliedEdit, Author, Edit
from saccade.annotation.writer import EditWriter
from saccade.app.labels.encoding import applied_to_json, class_to_json
from saccade.core.errors import NotFoundError
from saccade.core.refs import format_ref
from saccade.store.catalog.tables import DatasetRow, LabelSetRow
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

PRESENCE_S = 15.0
"""A person counts as present for this long after the last sign of life."""
POLL_S = 1.0
"""Edits of other processes are looked for this often; those of this process wake the followers at once."""
HEARTBEAT_S = 15.0
MAX_STREAM_S = 600.0
"""A stream ends after this time, and the client opens the next one: it is authorized again."""
_PAGE = 500
_MAX_RECENT = 2000


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """A server-sent event.

    Attributes:
        name: "edits", "classes", "presence" or "commit"; "" for a sign of life.
        seq: number of the last edit in it; None if it has none.
        data: JSON text.
    """

    name: str
    data: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class _SetState:
    """What followers compare: numbers that change with each edit, change of classes and commit."""

    seq: int
    classes_version: int
    base: str
    committed_seq: int


@dataclass(slots=True)
class _Present:
    author: Author
    client: str
    item: str | None
    object: str | None
    expires: float

    def to_json(self) -> dict[str, Any]:
        return {
            "author": self.author.name,
            "author_id": self.author.id,
            "client": self.client,
            "item": self.item,
            "object": self.object,
        }


class _Feed:
    """The edits and the presence of one label set, for all that follow it in this process."""

    def __init__(self, label_sets: LabelSets, set_id: int) -> None:
        self._label_sets = label_sets
        self._set_id = set_id
        self._lock = threading.Lock()
        self._followers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._recent: deque[tuple[int, str]] = deque(maxlen=_MAX_RECENT)
        self._state: _SetState | None = None
        self._read_at = -POLL_S
        self._is_stale = True
        self._present: dict[tuple[str, str], _Present] = {}
        self._shown: list[dict[str, Any]] = []
        self._presence_version = 0

    @property
    def has_followers(self) -> bool:
        return bool(self._followers)

    def add_follower(self) -> asyncio.Event:
        event = asyncio.Event()
        with self._lock:
            self._followers[event] = asyncio.get_running_loop()
        return event

    def remove_follower(self, event: asyncio.Event) -> None:
        with self._lock:
            self._followers.pop(event, None)

    def announce(self, edits: Sequence[AppliedEdit] = ()) -> None:
        """Wake the followers; called from any thread."""
        with self._lock:
            self._is_stale = True
            for applied in edits if self._followers else ():
                # A gap (an edit of another process) makes the older ones useless: followers read from the log then.
                if self._recent and self._recent[-1][0] != applied.seq - 1:
                    self._recent.clear()
                self._recent.append((applied.seq, json.dumps(applied_to_json(applied))))
            by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
            for event, loop in self._followers.items():
                by_loop.setdefault(loop, []).append(event)
        for loop, events in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set_all, events)

    def state(self) -> _SetState | None:
        """Return the state of the set, None if it was removed. Without announcements it is read once in a second."""
        with self._lock:
            if not self._is_stale and time.monotonic() - self._read_at < POLL_S * 0.9:
                return self._state
            self._is_stale = False
        with self._label_sets.workspace.catalog.read_tx() as session:
            row = session.scalar(select(LabelSetRow).where(LabelSetRow.id == self._set_id))
            dataset = None if row is None else session.get_one(DatasetRow, row.dataset_id).name
        state = None
        if row is not None and dataset is not None:
            state = _SetState(row.seq, row.classes_version, format_ref(dataset, row.base), row.committed_seq)
        with self._lock:
            self._state = state
            self._read_at = time.monotonic()
        return state

    def edits(self, after: int) -> tuple[str, int]:
        """Return the JSON of a page of later edits, and the number of its last one."""
        with self._lock:
            if self._recent and self._recent[0][0] <= after + 1 <= self._recent[-1][0]:
                page = [entry for entry in self._recent if entry[0] > after][:_PAGE]
                return f"[{','.join(text for _, text in page)}]", page[-1][0]
        with self._label_sets.workspace.catalog.read_tx() as session:
            edits = read_log(session, self._set_id, after=after, limit=_PAGE)
        return json.dumps([applied_to_json(applied) for applied in edits]), edits[-1].seq if edits else after

    def classes(self) -> str:
        with self._label_sets.workspace.catalog.read_tx() as session:
            classes = read_classes(session, self._set_id)
        return json.dumps([class_to_json(label_class) for label_class in classes])

    def set_presence(self, author: Author, client: str, item: str | None, object_id: str | None) -> None:
        with self._lock:
            expires = time.monotonic() + PRESENCE_S
            self._present[author.id, client] = _Present(author, client, item, object_id, expires)
        self.announce()

    def presence(self) -> tuple[int, str]:
        """Return who is present as JSON, and a number that grows with each change."""
        with self._lock:
            now = time.monotonic()
            self._present = {key: entry for key, entry in self._present.items() if entry.expires > now}
            people = [entry.to_json() for entry in self._present.values()]
            if people != self._shown:
                self._shown = people
                self._presence_version += 1
            return self._presence_version, json.dumps({"people": people})


def _set_all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        event.set()


class LiveLabelling:
    """The label sets of all projects of a workspace in a server process.

    Args:
        workspace: the workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._writer = EditWriter(workspace.catalog, self._announce)
        self._lock = threading.Lock()
        self._label_sets: dict[str, LabelSets] = {}
        self._feeds: dict[int, _Feed] = {}
        self._is_closed = False

    def label_sets(self, workspace: Workspace, open_version: Callable[[str], DatasetVersion]) -> LabelSets:
        """Return the label sets of a project.

        Args:
            workspace: The workspace, scoped to the project.
            open_version: Opens a version by its exact reference.
        """
        with self._lock:
            if workspace.project not in self._label_sets:
                self._label_sets[workspace.project] = LabelSets(workspace, open_version)
            return self._label_sets[workspace.project]

    async def apply(self, label_sets: LabelSets, name: str, edits: Sequence[Edit], author: Author) -> EditBatch:
        """Append edits to the log. Returns once they are on the disk.

        Args:
            label_sets: The label sets of the project.
            name: Name of the set.
            edits: The edits, in order.
            author: Who edits.

        Raises:
            NotFoundError: There is no such label set.
            StorageFullError: The disk is full; no edit was applied.
            WorkspaceError: The server is stopping, or too many requests wait.
        """
        batch = label_sets.cached_batch(name, edits, author)
        if batch is not None:
            try:
                return await self._writer.submit_async(batch)
            except NotFoundError:  # removed, and perhaps created again, by another process
                label_sets.forget(name)
        batch = await run_sync(label_sets.batch, name, edits, author)
        return await self._writer.submit_async(batch)

    def set_presence(
        self, label_sets: LabelSets, name: str, author: Author, client: str, item: str | None, object_id: str | None
    ) -> None:
        """Record on which item and object a client of a user is working.

        Raises:
            NotFoundError: There is no such label set.
        """
        self._feed(label_sets, self._set_id(label_sets, name)).set_presence(author, client, item, object_id)

    def announce(self, label_sets: LabelSets, name: str) -> None:
        """Tell the followers of a set that its classes changed or that it was committed."""
        with self._lock:
            has_feeds = bool(self._feeds)
        if has_feeds:
            self._feed(label_sets, self._set_id(label_sets, name)).announce()

    def _set_id(self, label_sets: LabelSets, name: str) -> int:
        with label_sets.workspace.catalog.read_tx() as session:
            return find_label_set(session, name).id

    def _feed(self, label_sets: LabelSets, set_id: int) -> _Feed:
        with self._lock:
            return self._feeds.setdefault(set_id, _Feed(label_sets, set_id))

    def _announce(self, set_id: int, edits: Sequence[AppliedEdit]) -> None:
        with self._lock:
            feed = self._feeds.get(set_id)
        if feed is not None:
            feed.announce(edits)

    def end_streams(self) -> None:
        """End all streams of events. Edits are still written."""
        self._is_closed = True
        with self._lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            feed.announce()

    def close(self) -> None:
        """End all streams, write the edits that wait, and accept no more."""
        self.end_streams()
        self._writer.close()

    async def follow(self, label_sets: LabelSets, name: str, after: int | None) -> AsyncIterator[LabelEvent]:
        """Yield the events of a label set until it is removed, the server stops, or ten minutes have passed.

        First come the classes, who is present, and the last commit; then the edits after ``after``, and what follows.

        Args:
            label_sets: The label sets of the project.
            name: Name of the set.
            after: Number of the last edit that the client has; None for the last one.

        Raises:
            NotFoundError: There is no such label set.
        """
        set_id = await asyncio.to_thread(self._set_id, label_sets, name)
        feed = self._feed(label_sets, set_id)
        changed = feed.add_follower()
        try:
            async for event in self._follow(feed, changed, after):
                yield event
        finally:
            feed.remove_follower(changed)

    async def _follow(self, feed: _Feed, changed: asyncio.Event, after: int | None) -> AsyncIterator[LabelEvent]:
        ends = time.monotonic() + MAX_STREAM_S
        last_sent = time.monotonic()
        classes_version = -1
        presence_version = -1
        commit: tuple[str, int] | None = None
        while not self._is_closed and time.monotonic() < ends:
            changed.clear()
            state = await asyncio.to_thread(feed.state)
            if state is None:
                return
            events = []
            if after is None:
                after = state.seq
            if state.classes_version != classes_version:
                classes_version = state.classes_version
                events.append(LabelEvent("classes", await asyncio.to_thread(feed.classes)))
            while after < state.seq:
                data, last = await asyncio.to_thread(feed.edits, after)
                if last == after:
                    break
                after = last
                events.append(LabelEvent("edits", data, last))
                for event in events:
                    yield event
                events = []
            if (state.base, state.committed_seq) != commit:
                commit = state.base, state.committed_seq
                data = json.dumps({"base": state.base, "committed_seq": state.committed_seq})
                events.append(LabelEvent("commit", data))
            version, people = feed.presence()
            if version != presence_version:
                presence_version = version
                events.append(LabelEvent("presence", people))
            if not events and time.monotonic() - last_sent >= HEARTBEAT_S:
                events.append(LabelEvent("", ""))
            for event in events:
                yield event
            if events:
                last_sent = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), POLL_S)
