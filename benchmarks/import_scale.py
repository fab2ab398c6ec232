"""Measure how time and memory of import and export scale with the number of images, in COCO and other formats.

usage: import_scale.py [--items 1000 10000 100000] [--formats coco yolo voc] [--folder DIR] [--copy] [--json]

The images are small, all different, and have ten boxes each. Each step of each size is a process of its own. Prints
seconds, microseconds an image, and the peak memory of the process with its children. The baseline is a bare loop that
reads and hashes every image and loads the labels. Exports in other formats than COCO are imported again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import run_measured

BARE = """
import hashlib, json, os, sys
dataset = json.load(open(sys.argv[1] + "/annotations/instances_train.json"))
for image in dataset["images"]:
    with open(sys.argv[1] + "/images/train/" + image["file_name"], "rb") as file:
        hashlib.sha256(file.read()).hexdigest()
"""
IMPORT = """
import sys
from pathlib import Path
from saccade.app.ingest.importing import import_dataset
from saccade.store.workspace import Workspace
home = Path(sys.argv[2])
with (Workspace.open if home.exists() else Workspace.create)(home) as workspace:
    name, format, link = sys.argv[3:6]
    version = import_dataset(workspace, Path(sys.argv[1]), name, format=format, link=link == "link").version
    assert len(version) == int(sys.argv[6])
"""
EXPORT = """
import sys
from pathlib import Path
from saccade.app.ingest.exporting import export_dataset
from saccade.store.workspace import Workspace
with Workspace.open(sys.argv[2]) as workspace:
    export_dataset(workspace, "coco", Path(sys.argv[3]), sys.argv[4])
"""
TIMED = """
import sys, time
start = time.perf_counter()
exec(sys.argv.pop(1))
print(time.perf_counter() - start)
"""


def make(folder: Path, count: int) -> None:
    """Create images that differ only in trailing bytes, and stream their labels to a file."""
    import cv2
    import numpy as np

    images = folder / "images" / "train"
    images.mkdir(parents=True)
    (folder / "annotations").mkdir()
    image = cv2.imencode(".jpg", np.full((24, 32, 3), 128, np.uint8))[1].tobytes()
    with (folder / "annotations" / "instances_train.json").open("w") as out:
        out.write('{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "images": [')
        for number in range(count):
            (images / f"{number:08}.jpg").write_bytes(image + number.to_bytes(4))
            entry = {"id": number, "file_name": f"{number:08}.jpg", "width": 32, "height": 24}
            out.write((", " if number else "") + json.dumps(entry))
        out.write('], "annotations": [')
        for number in range(10 * count):
            offset = number % 10
            entry = {"id": number, "image_id": number // 10, "category_id": offset % 2 + 1, "area": 8, "iscrowd": 0}
            out.write((", " if number else "") + json.dumps({**entry, "bbox": [offset + 0.5, offset + 1.25, 4, 2]}))
        out.write("]}")


def timed(program: str, *arguments: str) -> dict[str, float]:
    out, megabytes = run_measured([sys.executable, "-c", TIMED, program, *arguments])
    return {"seconds": float(out.splitlines()[-1]), "memory_mb": megabytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--formats", nargs="+", default=["coco"])
    parser.add_argument("--folder", type=Path, help="folder for the images and workspaces")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for count in options.items:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            source, home = Path(temporary) / "source", Path(temporary) / "home"
            make(source, count)
            timed(BARE, str(source))  # warm the page cache for all steps
            steps = {"bare loop": timed(BARE, str(source))}
            media = "copy" if options.copy else "link"
            steps["import coco"] = timed(IMPORT, str(source), str(home), "coco", "auto", media, str(count))
            for name in options.formats:
                out = Path(temporary) / name
                steps[f"export {name}"] = timed(EXPORT, str(source), str(home), str(out), name)
                if name != "coco":
                    steps[f"import {name}"] = timed(IMPORT, str(out), str(home), name, name, media, str(count))
                shutil.rmtree(out) if out.is_dir() else out.unlink()
        results.append({"items": count, "steps": steps})
        if options.json:
            continue
        print(f"{count:,} images")
        for name, timings in steps.items():
            microseconds = timings["seconds"] / count * 1e6
            ratio = timings["seconds"] / steps["bare loop"]["seconds"]
            facts = f"{timings['seconds']:8.2f} s {microseconds:7.0f} us an image {ratio:5.1f} bare loops"
            print(f"  {name:18} {facts} {timings['memory_mb']:6.0f} MB", flush=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
