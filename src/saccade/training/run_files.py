"""Names of the files in the folder of a training run."""

from __future__ import annotations

CHECKPOINT_FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.safetensors"
METRICS_FILE = "metrics.jsonl"
PROGRESS_FILE = "progress.jsonl"
