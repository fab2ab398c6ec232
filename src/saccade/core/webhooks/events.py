"""What happens in a project that programs elsewhere may want to be told, and what each event says.

An event is sent as JSON: its ``type``, the ``timestamp`` at which it happened, the ``project``, and ``data``, which is
one of the classes here.
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
    "person.joined",
    "person.removed",
]
PING = "ping"
"""The event that is sent to try a webhook, whatever it asks for."""
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class DatasetVersionMade:
    """A new version of a dataset, however it came to be: an import, a change, a merge, a run, a pull.

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
    """A dataset was removed, with all its versions; ``latest`` is the number of the last one."""

    dataset: str
    latest: int


@dataclass(frozen=True, slots=True)
class ModelVersionMade:
    """A new version of a model; ``inputs`` are the dataset versions it was trained on."""

    model: str
    number: int
    ref: str
    inputs: list[str]
    metrics: dict[str, int | float]
    run: str | None


@dataclass(frozen=True, slots=True)
class ModelAliasMoved:
    """An alias, such as production, names another version of a model; ``previous`` is the one it named before."""

    model: str
    alias: str
    number: int
    ref: str
    previous: int | None
    author: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended: a training, an import, a pipeline; ``outputs`` are the versions it made."""

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
    """A job ended; ``result`` has those of its results that are a text, a number, true or false."""

    id: str
    kind: str
    title: str
    state: str
    attempts: int
    result: dict[str, str | int | float | bool]
    error: str
    hint: str
    person: str | None
    asked: str


@dataclass(frozen=True, slots=True)
class PersonOfProject:
    """Somebody is in the project from now on, or is not any more; ``role`` is what they are, or were."""

    id: str
    name: str
    email: str
    role: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A test; ``webhook`` is the one that is tested."""

    webhook: str


Data = (
    DatasetVersionMade
    | DatasetRemoved
    | ModelVersionMade
    | ModelAliasMoved
    | RunEnded
    | JobEnded
    | PersonOfProject
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
_PERSON = PersonOfProject("1m7zz0q4k2hd", "Ann", "ann@example.org", "annotator")

SAMPLES: Mapping[str, Data] = {
    "dataset.version": DatasetVersionMade(
        "harbour", 3, "harbour@3", "main", 2, None, "Imported photos.zip.", "Ann", 310, 10, 0, 0, "1m802xcycpza"
    ),
    "dataset.removed": DatasetRemoved("harbour", 3),
    "model.version": ModelVersionMade("ships", 4, "ships@4", ["harbour@3"], {"ap50": 0.91}, "1m802xcycpza"),
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
    "person.joined": _PERSON,
    "person.removed": _PERSON,
    PING: Ping("1m802y0a8kqv"),
}
"""For every event what it may say."""

EVENTS: tuple[EventName, ...] = get_args(EventName)


def moment(at: datetime) -> str:
    """A moment in UTC, as ISO 8601 has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def body_of(name: str, at: datetime, project: str, data: Data) -> str:
    """An event as it is sent: JSON in characters of ASCII, so that nothing on its way writes it differently."""
    assert type(data) is type(SAMPLES[name]), name
    told = {"type": name, "timestamp": moment(at), "project": project, "data": asdict(data)}
    return json.dumps(told, separators=(",", ":"), allow_nan=False)


def numbers(values: Mapping[str, Any]) -> dict[str, int | float]:
    """Those of some values that are numbers, and finite."""
    return {
        str(name): value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0
    }


def plain_values(values: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Those of some values that are short texts, finite numbers, true or false."""
    short = {name: value for name, value in values.items() if isinstance(value, str) and len(value) <= _LONGEST}
    return short | {name: value for name, value in values.items() if isinstance(value, bool)} | numbers(values)
