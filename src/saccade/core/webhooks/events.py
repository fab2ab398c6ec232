"""Webhook events of a project and their payloads.

An event is sent as JSON with its ``type``, ``timestamp``, ``project`` and ``data``, which is one of the classes here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

EventName = Literal[
    "dataset.version",
    "dataset.removed",
    "model.version",
    "model.alias",
    "run.finished",
    "run.stopped",
    "run.failed",
    "job.finished",
    "job.cancelled",
    "job.failed",
    "member.joined",
    "member.removed",
]
PING = "ping"
"""The test event; it is sent regardless of the events to which a webhook is subscribed."""
_MAX_TEXT_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class DatasetVersionCreated:
    """A dataset has a new version: by an import, an edit, a merge, a run or a pull.

    ``merged`` is the number of the version that was merged into ``parent``; ``added``, ``removed`` and ``changed``
    count items.
    """

    dataset: str
    number: int
    ref: str
    branch: str
    parent: int | None
    merged: int | None
    message: str
    author: str
    items: int
    added: int
    removed: int
    changed: int
    run: str | None


@dataclass(frozen=True, slots=True)
class DatasetRemoved:
    """A dataset was deleted with all its versions; ``latest`` is the number of the last one."""

    dataset: str
    latest: int


@dataclass(frozen=True, slots=True)
class ModelVersionCreated:
    """A model has a new version; ``inputs`` are the dataset versions that it was trained on."""

    model: str
    number: int
    ref: str
    inputs: list[str]
    metrics: dict[str, int | float]
    run: str | None


@dataclass(frozen=True, slots=True)
class ModelAliasMoved:
    """An alias such as production now points to another version of a model; ``previous`` is the version before."""

    model: str
    alias: str
    number: int
    ref: str
    previous: int | None
    author: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run (training, import, pipeline) ended; ``outputs`` are the versions that it created."""

    id: str
    kind: str
    name: str
    state: str
    inputs: list[str]
    outputs: list[str]
    metrics: dict[str, int | float]
    error: str
    started: str
    job: str | None


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job ended; ``result`` contains its results that are short strings, numbers or booleans."""

    id: str
    kind: str
    title: str
    state: str
    attempts: int
    result: dict[str, str | int | float | bool]
    error: str
    hint: str
    user: str | None
    created: str


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """A member joined or left the project; ``role`` is the current or last role."""

    id: str
    name: str
    email: str
    role: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A test delivery; ``webhook`` is the id of the webhook under test."""

    webhook: str


Data = (
    DatasetVersionCreated
    | DatasetRemoved
    | ModelVersionCreated
    | ModelAliasMoved
    | RunEnded
    | JobEnded
    | MembershipChanged
    | Ping
)

_RUN = RunEnded(
    "1m802xcycpza",
    "train",
    "ships",
    "finished",
    ["harbour@3"],
    ["model:ships@4"],
    {"ap50": 0.91},
    "",
    "2026-11-05T09:12:44Z",
    "1m802xcr5va1",
)
_JOB = JobEnded(
    "1m802xcr5va1",
    "import",
    "Import photos.zip as harbour",
    "finished",
    1,
    {"dataset": "harbour@3", "items": 310, "format": "coco"},
    "",
    "",
    "1m7zz0q4k2hd",
    "2026-11-05T09:12:40Z",
)
_MEMBER = MembershipChanged("1m7zz0q4k2hd", "Ann", "ann@example.org", "annotator")

SAMPLES: Mapping[str, Data] = {
    "dataset.version": DatasetVersionCreated(
        "harbour", 3, "harbour@3", "main", 2, None, "Imported photos.zip.", "Ann", 310, 10, 0, 0, "1m802xcycpza"
    ),
    "dataset.removed": DatasetRemoved("harbour", 3),
    "model.version": ModelVersionCreated("ships", 4, "ships@4", ["harbour@3"], {"ap50": 0.91}, "1m802xcycpza"),
    "model.alias": ModelAliasMoved("ships", "production", 4, "ships@4", 2, "Ann"),
    "run.finished": _RUN,
    "run.stopped": RunEnded(**asdict(_RUN) | {"state": "stopped", "outputs": [], "metrics": {}}),
    "run.failed": RunEnded(
        **asdict(_RUN) | {"state": "failed", "outputs": [], "metrics": {}, "error": "The dataset has no split 'val'."}
    ),
    "job.finished": _JOB,
    "job.cancelled": JobEnded(**asdict(_JOB) | {"state": "cancelled", "result": {}}),
    "job.failed": JobEnded(
        **asdict(_JOB)
        | {"state": "failed", "result": {}, "error": "photos.zip is no archive.", "hint": "Send it once more."}
    ),
    "member.joined": _MEMBER,
    "member.removed": _MEMBER,
    PING: Ping("1m802y0a8kqv"),
}
"""A sample payload of every event, for the documentation and for type checks."""

EVENTS: tuple[EventName, ...] = get_args(EventName)


def to_iso8601(at: datetime) -> str:
    """Format a time as ISO 8601 in UTC, with the suffix Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def serialize_event(name: str, at: datetime, project: str, data: Data) -> str:
    """Serialize an event as ASCII-only JSON, so that no proxy re-encodes it and breaks the signature.

    Args:
        name: event name.
        at: time of the event.
        project: name of the project.
        data: payload of the type that belongs to the event.
    """
    assert type(data) is type(SAMPLES[name]), name
    event = {"type": name, "timestamp": to_iso8601(at), "project": project, "data": asdict(data)}
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def finite_numbers(values: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the values that are finite numbers."""
    return {
        str(name): value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0
    }


def short_values(values: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return the values that are short strings, finite numbers or booleans."""
    texts = {name: value for name, value in values.items() if isinstance(value, str) and len(value) <= _MAX_TEXT_LENGTH}
    booleans = {name: value for name, value in values.items() if isinstance(value, bool)}
    return texts | booleans | finite_numbers(values)
