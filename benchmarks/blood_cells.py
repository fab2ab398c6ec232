"""Compare the blood-cell recipe with a tuned YOLO, alternating, on the same split and processor.

usage: blood_cells.py BCCD_FOLDER [--seeds 3] [--peer PYTHON] [--minutes 10]

BCCD_FOLDER is the BCCD data set in Pascal VOC. PYTHON is an interpreter of a virtual environment of its own in which
ultralytics is installed (AGPL-3.0, so never a dependency of Saccade); without it only Saccade is measured.
Prints test AP and AP50 and the training's wall-clock time for each seed. A run takes about ten minutes for each side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).parents[1] / "examples" / "recipes" / "blood-cells.yaml"
SACCADE = [sys.executable, "-m", "saccade"]

PEER = """
import json, sys, tempfile, time
from ultralytics import YOLO, settings
settings.update({"sync": False})
data, minutes, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
model, began = YOLO("yolov8n.yaml"), time.time()
model.train(data=data, imgsz=320, time=minutes / 60, epochs=300, workers=1, device="cpu", pretrained=False, plots=False,
            verbose=False, project=tempfile.mkdtemp(), exist_ok=True, amp=False, seed=seed, batch=8, nbs=8,
            optimizer="AdamW", lr0=0.002, warmup_epochs=1, mosaic=0.5, close_mosaic=5, cos_lr=True, val=False)
seconds = time.time() - began
box = model.val(data=data, split="test", imgsz=320, device="cpu", plots=False, verbose=False).box
print("\\n" + json.dumps({"ap": box.map, "ap50": box.map50, "seconds": seconds}))
"""


def saccade(workspace: Path, *args: str) -> Any:
    """Run a command of Saccade and read its JSON."""
    command = [*SACCADE, *args, "--workspace", str(workspace), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_ours(workspace: Path, seed: int) -> dict[str, float]:
    """Train with the recipe and return the metrics on the test split."""
    trained = saccade(workspace, "train", str(RECIPE), "--set", f"train.seed={seed}")
    metrics = saccade(workspace, "evaluate", trained["model"], "cells", "--split", "test")
    return {"ap": metrics["ap"], "ap50": metrics["ap50"], "seconds": trained["seconds"]}


def run_peer(python: str, data: Path, minutes: float, seed: int) -> dict[str, float]:
    """Train the peer within a time budget and return the metrics on the test split."""
    command = [python, "-c", PEER, str(data), str(minutes), str(seed)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=data.parent).stdout
    metrics: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return metrics


def show(name: str, runs: list[dict[str, float]]) -> None:
    """Print the metrics of each run and their means."""
    for seed, run in enumerate(runs):
        print(f"{name:10} seed {seed}  AP {run['ap']:.4f}  AP50 {run['ap50']:.4f}  {run['seconds'] / 60:.1f} min")
    print(
        f"{name:10} mean    AP {statistics.mean(run['ap'] for run in runs):.4f}  "
        f"AP50 {statistics.mean(run['ap50'] for run in runs):.4f}"
    )


def main() -> None:
    """Alternate the runs, so that a drift in the speed of the machine affects both sides equally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bccd", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", help="a Python with ultralytics")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    if options.bccd is None:
        print("skipped: give the folder of the BCCD data set")
        return
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        subprocess.run([*SACCADE, "init", str(workspace)], check=True, capture_output=True)
        saccade(workspace, "import", str(options.bccd), "--dataset", "cells")
        if options.peer:
            saccade(workspace, "export", "cells", str(workspace / "yolo"), "--format", "yolo")
        ours, peer = [], []
        for seed in range(options.seeds):
            ours.append(run_ours(workspace, seed))
            print(f"Saccade    seed {seed}  {ours[-1]}", flush=True)
            if options.peer:
                peer.append(run_peer(options.peer, workspace / "yolo" / "data.yaml", options.minutes, seed))
                print(f"yolov8n    seed {seed}  {peer[-1]}", flush=True)
    show("Saccade", ours)
    if peer:
        show("yolov8n", peer)


if __name__ == "__main__":
    main()
