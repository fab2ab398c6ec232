"""Import and export of a COCO data set, ours beside Datumaro's, in turns.

usage: data.py [--images 10000] [--peer PYTHON] [--rounds 3] [--folder DIR] [--json]

Makes pictures of 320 x 240 with ten boxes each. Ours imports them into a durable dataset, every picture verified,
hashed and (but for "link") copied, and exports labels and pictures. PYTHON, an interpreter of a virtual environment
with datumaro, reads the same labels into memory and exports them with the pictures. Each measurement is a process of
its own, and nothing is removed before the last one: ext4 passes over the places of files that were removed in the last
minutes, one by one for every file that is made, which can take longer than all else of an import that copies (a
--folder in memory has no such past). Printed are the least seconds of the rounds, the most memory (with that of the
processes that help), and the ratios.
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
    """Pictures that differ, and boxes within them."""
    random = np.random.default_rng(0)
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    ground = cv2.GaussianBlur(random.integers(0, 255, (240, 320, 3), dtype=np.uint8), (0, 0), 2)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        name = f"{number:08}.jpg"
        picture = np.roll(ground, number, 0)
        picture[:4, :4] = number % 256, number // 256 % 256, number // 65536
        cv2.imwrite(str(folder / "images" / "train" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
        images.append({"id": number, "file_name": name, "width": 320, "height": 240})
        for x, y, width, height in (random.random((10, 4)) * [250, 170, 55, 55] + [0, 0, 5, 5]).tolist():
            identity = {"id": len(annotations) + 1, "image_id": number, "category_id": len(annotations) % 5 + 1}
            annotations.append({**identity, "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0})
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, 6)]
    whole = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(whole))


def run(python: str, program: str, *arguments: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [python, "-c", program, *arguments]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    quiet.pop("PYTHONDONTWRITEBYTECODE", None)  # neither side is to compile its modules again in every process
    out, megabytes = run_measured(command, quiet)
    found: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return {**found, "memory_mb": megabytes}


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The least time and the most memory of all rounds."""
    return {name: (max if name == "memory_mb" else min)(each[name] for each in rounds) for name in rounds[0]}


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--peer", help="a Python with datumaro")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder otherwise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        source = Path(temporary) / "coco"
        make(source, options.images)
        sides: dict[str, list[dict[str, float]]] = {"copy": [], "link": []}
        for _ in range(options.rounds):
            for how in ("copy", "link"):
                sides[how].append(run(sys.executable, OURS, str(source), how, temporary, str(options.images)))
            if options.peer:
                sides.setdefault("datumaro", []).append(
                    run(options.peer, PEER, str(source), "", temporary, str(options.images))
                )
    result: dict[str, Any] = {name: best(rounds) for name, rounds in sides.items()}
    if options.json:
        print(json.dumps(result))
        return
    for name, found in result.items():
        print(f"{name:9} import {found['import']:.2f} s, export {found['export']:.2f} s, {found['memory_mb']:.0f} MB")
    if options.peer:
        peer = result["datumaro"]
        for name in ("copy", "link"):
            ratio = {part: result[name][part] / peer[part] for part in ("import", "export")}
            print(f"{name} / datumaro: import {ratio['import']:.2f}, export {ratio['export']:.2f}")


if __name__ == "__main__":
    main()
