"""What watches a training: progress, TensorBoard, a log of metrics. None of them changes its course."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.core.progress import Progress
from saccade.training.checkpoint import write_atomically


class Hook:
    """Told of each step, each epoch and the end; does nothing unless overridden."""

    def on_start(self, step: int, total: int) -> None:
        """Before the first step of this call, which is ``step`` of ``total``."""

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        """After each step, with its weighted losses and learning rate."""

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        """After each epoch, with mean losses and, where it was validated, metrics."""

    def on_end(self) -> None:
        """When the training ends, however it ends."""


class ProgressHook(Hook):
    """Shows the step, the loss and the last validation in a :class:`Progress`."""

    def __init__(self, progress: Progress, steps_per_epoch: int, epochs: int) -> None:
        self.progress, self.steps_per_epoch, self.epochs = progress, steps_per_epoch, epochs
        self.loss, self.metric = 0.0, ""

    def on_start(self, step: int, total: int) -> None:
        self.progress.start("Training", total)
        self.progress.advance(step)

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        total = sum(losses.values())
        self.loss = total if not self.loss else 0.95 * self.loss + 0.05 * total
        epoch = step // self.steps_per_epoch + 1
        self.progress.advance(1, f"epoch {epoch}/{self.epochs}  loss {self.loss:.3f}  {self.metric}".rstrip())

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        if metrics := record.get("metrics"):
            self.metric = "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:2])

    def on_end(self) -> None:
        self.progress.finish()


class MetricsLog(Hook):
    """Appends each epoch as a line of JSON to ``metrics.jsonl`` in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"

    def on_start(self, step: int, total: int) -> None:
        """Drop what a killed training wrote after its last checkpoint, as those epochs come again."""
        if self.path.exists():
            kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _is_until(line, step)]
            write_atomically(self.path, "".join(f"{line}\n" for line in kept).encode())

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _is_until(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):  # cut by a kill
        return False


class TensorBoard(Hook):
    """Writes scalars for TensorBoard into ``tensorboard`` in the run's folder."""

    def __init__(self, folder: Path, every: int = 10) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.every = every

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        if step % self.every == 0:
            self._scalars("loss", losses, step)
            self._scalars("train", {"learning_rate": rate}, step)

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
        self._scalars("validation", record.get("metrics", {}), step)

    def _scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)

    def on_end(self) -> None:
        self.writer.close()
