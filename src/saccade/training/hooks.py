"""Hooks observe a training: progress, a metrics log, TensorBoard. They do not change its course."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saccade.core.progress import Progress
from saccade.io.atomic import atomic_write
from saccade.training.recipe import TrainSpec
from saccade.training.run_files import METRICS_FILE


class Hook:
    """Callbacks of the training loop; each does nothing unless overridden."""

    def on_start(self, step: int, total: int) -> None:
        """Called before the first step; a resumed training starts at ``step`` of ``total``."""

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        """Called after each step, with the weighted losses and the learning rate."""

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        """Called after each epoch, with the mean losses, and the metrics if the epoch was validated."""

    def on_validation_image(self) -> None:
        """Called before each image of a validation."""

    def on_end(self) -> None:
        """Called when the training ends, also after an error."""


class ProgressHook(Hook):
    """Shows the step, the loss and the last validation in a :class:`Progress`."""

    def __init__(self, progress: Progress, steps_per_epoch: int, epochs: int) -> None:
        self.progress = progress
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.loss = 0.0
        self.metrics_text = ""

    def on_start(self, step: int, total: int) -> None:
        self.progress.start("Training", total)
        self.progress.advance(step)

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        total = sum(losses.values())
        # An exponential moving average: the loss of a single step is too noisy to read.
        self.loss = total if not self.loss else 0.95 * self.loss + 0.05 * total
        epoch = step // self.steps_per_epoch + 1
        self.progress.advance(1, f"epoch {epoch}/{self.epochs}  loss {self.loss:.3f}  {self.metrics_text}".rstrip())

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        if metrics := record.get("metrics"):
            self.metrics_text = "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:2])

    def on_end(self) -> None:
        self.progress.finish()


class LineHook(Hook):
    """Writes a line for each epoch and at least one a minute, for output that is not a terminal.

    Args:
        write: Receives each line.
        spec: Settings of the training.
        interval: Maximum seconds between two lines.
    """

    def __init__(self, write: Callable[[str], None], spec: TrainSpec, interval: float = 60) -> None:
        self.write = write
        self.spec = spec
        self.interval = interval
        self.first_step = self.step = self.total = 0
        self.loss = 0.0
        self.start = self.last_line = time.monotonic()

    def on_start(self, step: int, total: int) -> None:
        self.first_step = self.step = step
        self.total = total
        self.start = self.last_line = time.monotonic()

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self.step = step
        self.loss = sum(losses.values())
        if time.monotonic() - self.last_line >= self.interval:
            self._write_line(f"loss {self.loss:.3f}")

    def on_validation_image(self) -> None:
        if time.monotonic() - self.last_line >= self.interval:
            self._write_line(f"loss {self.loss:.3f}  validating")

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        values = [f"epoch {epoch}/{self.spec.epochs}", f"loss {sum(record['losses'].values()):.3f}"]
        values += [f"{name} {value:.3f}" for name, value in record.get("metrics", {}).items()]
        self._write_line("  ".join(values))

    def _write_line(self, text: str) -> None:
        self.last_line = time.monotonic()
        elapsed = self.last_line - self.start
        steps_left = self.total - self.step
        left = estimate_seconds_left(elapsed, self.step - self.first_step, steps_left, self.spec.max_minutes)
        self.write(f"step {self.step:,}/{self.total:,}  {text}  {format_duration(left)} left")


def estimate_seconds_left(elapsed: float, steps_done: int, steps_left: int, max_minutes: float | None) -> float:
    """Estimate the remaining seconds of a training from its mean speed so far, validations included.

    Args:
        elapsed: Seconds since the training started or was resumed.
        steps_done: Steps since then.
        steps_left: Steps until the last one.
        max_minutes: The time limit of the training, or None.
    """
    left = elapsed / max(steps_done, 1) * steps_left
    return left if max_minutes is None else min(left, max(0.0, 60 * max_minutes - elapsed))


def format_duration(seconds: float) -> str:
    """Format a duration, such as "40 s", "5 min" or "2 h 10 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class MetricsLogHook(Hook):
    """Appends each epoch as a line of JSON to ``metrics.jsonl`` in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS_FILE

    def on_start(self, step: int, total: int) -> None:
        # Drop the epochs after the checkpoint: a resumed training runs and logs them again.
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            text = "".join(f"{line}\n" for line in lines if _is_at_or_before(line, step))
            atomic_write(self.path, text.encode())

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _is_at_or_before(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):  # truncated by a kill
        return False


class TensorBoardHook(Hook):
    """Writes scalars for TensorBoard into ``tensorboard`` in the run's folder, each ``every`` steps."""

    def __init__(self, folder: Path, every: int = 10) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.every = every

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        if step % self.every == 0:
            self._add_scalars("loss", losses, step)
            self._add_scalars("train", {"learning_rate": rate}, step)

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        self._add_scalars("validation", record.get("metrics", {}), step)

    def _add_scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)

    def on_end(self) -> None:
        self.writer.close()
