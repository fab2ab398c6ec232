"""The progress of a training as an append-only file, ``progress.jsonl`` in the folder of its run.

Each line is an event in JSON. A reader may read while the training writes, since only a complete line counts, and a
killed training leaves what it had written. The number of lines is bounded: a long training writes the mean of several
steps in each.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from saccade.core.errors import InvalidValueError
from saccade.io.atomic import atomic_write
from saccade.training.hooks import Hook, estimate_seconds_left
from saccade.training.run_files import PROGRESS_FILE

MAX_POINTS = 2000
"""The number of points that a reader returns at once; more are merged into means."""
_MAX_LINES = 5000
_MAX_INTERVAL_S = 5.0
"""Slow steps are written one by one, so that a training of large images is not silent for minutes."""
_VALIDATION_INTERVAL_S = 1.0
_RATE_WINDOW = 20
_TAIL_BYTES = 1 << 14

Phase = Literal["starting", "training", "validating", "ended"]


class ProgressLogHook(Hook):
    """Appends the losses of steps, and the beginning and end of validations, to ``progress.jsonl``.

    Args:
        folder: The folder of the run.
        epochs: The number of epochs of the recipe.
        steps_per_epoch: The number of steps of an epoch.
        images_per_step: The number of images of a step.
        validation_images: The number of images of a validation.
        max_minutes: The time limit of the training, or None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        epochs: int,
        steps_per_epoch: int,
        images_per_step: float,
        validation_images: int = 0,
        max_minutes: float | None = None,
    ) -> None:
        self._path = folder / PROGRESS_FILE
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._images_per_step = images_per_step
        self._validation_images = validation_images
        self._max_minutes = max_minutes
        self._stride = 1
        self._first_step = self._step = self._total = 0
        self._start = self._written_at = self._step_start = time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0
        self._rate = 0.0
        self._validated = 0

    def on_start(self, step: int, total: int) -> None:
        self._first_step = self._step = step
        self._total = total
        self._stride = -(-total // _MAX_LINES)
        self._start = self._written_at = self._step_start = time.monotonic()
        header = {
            "event": "start",
            # A reader that has read another attempt starts again: that one may have logged steps that are trained anew.
            "attempt": secrets.token_hex(4),
            "time": time.time(),
            "step": step,
            "total": total,
            "epochs": self._epochs,
            "steps_per_epoch": self._steps_per_epoch,
            "validation_images": self._validation_images,
        }
        earlier = [event for event in _read_events(self._path) if event["event"] == "steps" and event["step"] <= step]
        atomic_write(self._path, "".join(f"{json.dumps(event)}\n" for event in [header, *earlier]).encode())

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self._step = step
        self._rate = rate
        self._count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        is_slow = time.monotonic() - self._written_at >= _MAX_INTERVAL_S
        if self._count >= self._stride or is_slow or step % self._steps_per_epoch == 0:
            self._write_steps()
        if step % self._steps_per_epoch == 0:
            self._append({"event": "validating", "step": step, "done": 0})
            self._validated = 0

    def on_validation_image(self) -> None:
        self._validated += 1
        if time.monotonic() - self._written_at >= _VALIDATION_INTERVAL_S:
            done = min(self._validated - 1, self._validation_images)
            self._append({"event": "validating", "step": self._step, "done": done})

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        self._append({"event": "epoch", "step": step, "seconds_left": self._seconds_left()})
        # A validation is no part of the next step's time.
        self._step_start = time.monotonic()

    def on_end(self) -> None:
        if self._count:
            self._write_steps()
        self._append({"event": "end", "step": self._step})

    def _seconds_left(self) -> float:
        elapsed = time.monotonic() - self._start
        return round(
            estimate_seconds_left(elapsed, self._step - self._first_step, self._total - self._step, self._max_minutes),
            1,
        )

    def _write_steps(self) -> None:
        seconds = max(time.monotonic() - self._step_start, 1e-6)
        self._append(
            {
                "event": "steps",
                "step": self._step,
                "count": self._count,
                "losses": {name: round(value / self._count, 6) for name, value in self._sums.items()},
                "rate": self._rate,
                "images_per_second": round(self._count * self._images_per_step / seconds, 2),
                "seconds_left": self._seconds_left(),
            }
        )
        self._step_start = time.monotonic()
        self._sums = {}
        self._count = 0

    def _append(self, event: Mapping[str, Any]) -> None:
        self._written_at = time.monotonic()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**event, "time": round(time.time(), 3)}) + "\n")


@dataclass(frozen=True, slots=True)
class StepPoint:
    """Mean losses of some steps.

    Attributes:
        step: The last of the steps; 1 is the first step.
        losses: The mean of each loss.
        learning_rate: The learning rate of the last step.
    """

    step: int
    losses: Mapping[str, float]
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The progress of a training, and the points of its loss curves since an earlier reading.

    Attributes:
        phase: What the training does; "starting" before its first step.
        step: The number of finished steps.
        steps: The number of steps of the training.
        epoch: The number of the current epoch, from 1; 0 before the start.
        epochs: The number of epochs.
        steps_per_epoch: The number of steps of an epoch.
        validated: The number of validated images of the current validation.
        validation_images: The number of images of a validation.
        learning_rate: The learning rate of the last step, or None before it.
        images_per_second: The mean speed of the last steps, without validation; None before the first step.
        seconds_left: An estimate of the remaining time, or None before the first step.
        updated: When the training last wrote, in seconds since 1970; None before the start.
        points: Losses by step.
        is_reset: ``points`` has all points, and replaces those of earlier readings.
        cursor: To be passed to the next reading.
    """

    phase: Phase = "starting"
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    validated: int = 0
    validation_images: int = 0
    learning_rate: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    updated: float | None = None
    points: Sequence[StepPoint] = field(default=())
    is_reset: bool = True
    cursor: str = ""


def read_progress(folder: Path, cursor: str = "") -> TrainingProgress:
    """Read the progress of a training from the folder of its run.

    Args:
        folder: The folder of the run.
        cursor: The cursor of an earlier reading: only later points are returned. "" for all points; more than
            :data:`MAX_POINTS` are merged.

    Raises:
        InvalidValueError: The cursor is invalid.
    """
    attempt, offset = _parse_cursor(cursor)
    path = folder / PROGRESS_FILE
    if not path.exists():
        return TrainingProgress()
    with path.open("rb") as file:
        first_line = file.readline()
        header = _parse_event(first_line)
        if header is None or header["event"] != "start":
            return TrainingProgress()
        size = file.seek(0, os.SEEK_END)
        is_reset = header["attempt"] != attempt or not len(first_line) <= offset <= size
        position = file.seek(len(first_line) if is_reset else offset)
        data = file.read()
        # The last line may still be written.
        data = data[: data.rfind(b"\n") + 1]
        # The state of the training is in its last lines, which an incremental reading may have had already.
        file.seek(max(len(first_line), position + len(data) - _TAIL_BYTES))
        tail = file.read(position + len(data) - file.tell())
    points = [
        StepPoint(event["step"], event["losses"], event["rate"])
        for event in _parse_lines(data)
        if event["event"] == "steps"
    ]
    return _with_state(
        header,
        list(_parse_lines(tail)),
        _merge(points, MAX_POINTS),
        is_reset,
        f"{header['attempt']}-{position + len(data)}",
    )


def _with_state(
    header: Mapping[str, Any], tail: Sequence[dict[str, Any]], points: Sequence[StepPoint], is_reset: bool, cursor: str
) -> TrainingProgress:
    step = header["step"]
    phase: Phase = "starting"
    validated = 0
    seconds_left = None
    learning_rate = None
    speeds: deque[tuple[int, float]] = deque(maxlen=_RATE_WINDOW)
    for event in tail:
        step = max(step, event["step"])
        seconds_left = event.get("seconds_left", seconds_left)
        if event["event"] == "steps":
            learning_rate = event["rate"]
            # Lines of an earlier attempt come before those of this one, and have its speed.
            if event["step"] > header["step"] and event["images_per_second"]:
                phase = "training"
                speeds.append((event["count"], event["images_per_second"]))
        elif event["event"] == "validating":
            phase = "validating"
            validated = event["done"]
        elif event["event"] == "epoch":
            phase = "training"
        elif event["event"] == "end":
            phase = "ended"
    steps_per_epoch = header["steps_per_epoch"]
    # The mean speed: images by seconds, so that a line of many steps counts more.
    seconds = sum(count / speed for count, speed in speeds)
    return TrainingProgress(
        phase=phase,
        step=step,
        steps=header["total"],
        epoch=min(-(-(step if phase == "validating" else step + 1) // steps_per_epoch), header["epochs"]),
        epochs=header["epochs"],
        steps_per_epoch=steps_per_epoch,
        validated=validated,
        validation_images=header["validation_images"],
        learning_rate=learning_rate,
        images_per_second=sum(count for count, _ in speeds) / seconds if seconds else None,
        seconds_left=None if phase in ("starting", "ended") else seconds_left,
        updated=tail[-1]["time"] if tail else header["time"],
        points=points,
        is_reset=is_reset,
        cursor=cursor,
    )


def _merge(points: Sequence[StepPoint], limit: int) -> Sequence[StepPoint]:
    """Merge neighbouring points into their means, so that at most ``limit`` remain."""
    size = -(-len(points) // limit)
    if size <= 1:
        return points
    return [_mean(points[start : start + size]) for start in range(0, len(points), size)]


def _mean(points: Sequence[StepPoint]) -> StepPoint:
    names = dict.fromkeys(name for point in points for name in point.losses)
    losses = {}
    for name in names:
        values = [point.losses[name] for point in points if name in point.losses]
        losses[name] = sum(values) / len(values)
    return StepPoint(points[-1].step, losses, points[-1].learning_rate)


def _parse_cursor(cursor: str) -> tuple[str, int]:
    attempt, _, offset = cursor.rpartition("-")
    if cursor and not (attempt and offset.isascii() and offset.isdigit() and len(offset) < 16):
        raise InvalidValueError(
            f"Invalid cursor {ascii(cursor)[:40]}.", hint="Pass the cursor of an earlier response, or none."
        )
    return attempt, int(offset or 0)


def _read_events(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from _parse_lines(path.read_bytes())


def _parse_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        event = _parse_event(line)
        if event is not None:
            yield event


def _parse_event(line: bytes) -> dict[str, Any] | None:
    """Parse a line. Returns None if it is incomplete, because the training was killed while it wrote the line."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event and "step" in event else None
