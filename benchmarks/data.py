"""Compare import and export of a COCO dataset with Datumaro, alternating.

usage: data.py [--images 10000] [--peer PYTHON] [--rounds 3] [--folder DIR] [--json]

Creates images of 320 x 240 with ten boxes each. Saccade imports them into a dataset, verifying, hashing and (except for
"link") copying every image, and exports labels and images. PYTHON, an interpreter of a virtual environment with
datumaro, reads the same labels into memory and exports them with the images. Each measurement is a process of its own,
and no file is deleted before the last one: ext4 skips the inodes of recently deleted files one by one for every file
that is created, which can take longer than the rest of an import that copies (a --folder in memory avoids this). Prints
the minimum seconds and the maximum memory of the rounds (including child processes), and the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measured import run_measured

OURS = """
import json, sys, tempfile, time
from pathlib import Path
from saccade.app.ingest.exporting import export_dataset
from saccade.app.ingest.importing import import_dataset
from saccade.store.workspace import Workspace
source, link = Path(sys.argv[1]), sys.argv[2] == "link"
folder = tempfile.mkdtemp(dir=sys.argv[3])
with Workspace.create(Path(folder) / "home") as workspace:
    began = time.perf_counter()
    version = import_dataset(workspace, source, "d", link=link).version
    imported = time.perf_counter()
    export_dataset(workspace, "d", Path(folder) / "out", "coco")
    exported = time.perf_counter()
    assert len(version) == int(sys.argv[4])
print(json.dumps({"import": imported - began, "export": exported - imported}))
"""
PEER = """
import json, sys, tempfile, time
import datumaro
began = time.perf_counter()
dataset = datumaro.Dataset.import_from(sys.argv[1], "coco_instances")
count = sum(len(item.annotations) for item in dataset)
imported = time.perf_counter()
dataset.export(tempfile.mkdtemp(dir=sys.argv[3]) + "/out", "coco_instances", save_media=True)
exported = time.perf_counter()
assert count == 10 * int(sys.argv[4])
print(json.dumps({"import": imported - began, "export": exported - imported}))
"""


def make(folder: Path, count: int) -> None:
    """Create images that all differ, with boxes inside them."""
    random = np.random.default_rng(0)
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    background = cv2.GaussianBlur(random.integers(0, 255, (240, 320, 3), dtype=np.uint8), (0, 0), 2)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        name = f"{number:08}.jpg"
        image = np.roll(background, number, 0)
        image[:4, :4] = number % 256, number // 256 % 256, number // 65536
        cv2.imwrite(str(folder / "images" / "train" / name), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        images.append({"id": number, "file_name": name, "width": 320, "height": 240})
        for x, y, width, height in (random.random((10, 4)) * [250, 170, 55, 55] + [0, 0, 5, 5]).tolist():
            identity = {"id": len(annotations) + 1, "image_id": number, "category_id": len(annotations) % 5 + 1}
            annotations.append({**identity, "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0})
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, 6)]
    dataset = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(dataset))


def run(python: str, program: str, *arguments: str) -> dict[str, float]:
    """Run one measurement in its own process."""
    command = [python, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # let both sides cache compiled modules between processes
    out, megabytes = run_measured(command, environment)
    timings: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return {**timings, "memory_mb": megabytes}


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the minimum time and the maximum memory of all rounds."""
    return {name: (max if name == "memory_mb" else min)(timings[name] for timings in rounds) for name in rounds[0]}


def main() -> None:
    """Measure alternately and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--peer", help="a Python with datumaro")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        source = Path(temporary) / "coco"
        make(source, options.images)
        sides: dict[str, list[dict[str, float]]] = {"copy": [], "link": []}
        for _ in range(options.rounds):
            for mode in ("copy", "link"):
                sides[mode].append(run(sys.executable, OURS, str(source), mode, temporary, str(options.images)))
            if options.peer:
                sides.setdefault("datumaro", []).append(
                    run(options.peer, PEER, str(source), "", temporary, str(options.images))
                )
    result: dict[str, Any] = {name: best(rounds) for name, rounds in sides.items()}
    if options.json:
        print(json.dumps(result))
        return
    for name, timings in result.items():
        seconds = f"import {timings['import']:.2f} s, export {timings['export']:.2f} s"
        print(f"{name:9} {seconds}, {timings['memory_mb']:.0f} MB")
    if options.peer:
        peer = result["datumaro"]
        for name in ("copy", "link"):
            ratio = {part: result[name][part] / peer[part] for part in ("import", "export")}
            print(f"{name} / datumaro: import {ratio['import']:.2f}, export {ratio['export']:.2f}")


if __name__ == "__main__":
    main()
