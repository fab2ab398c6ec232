"""Measure the export of shapes on video frames as CVAT XML (images and video), MOT and COCO.

usage: tracks.py [--frames 790] [--shapes 70] [--rounds 3] [--json]

Frames refer to obj small image each; half of the shapes are boxes, half polygons of 12 points, all on tracks. The
baseline is a bare loop that prints the numbers of the same shapes into a file and copies the images. Prints the minimum
seconds of the rounds, the shapes a second and the ratio to the bare loop.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from saccade.core.objects import Box, Object, Polygon
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import FORMATS, LocalFile, Record, RecordStream

SIZE = (1280, 720)
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("car"), ClassInfo("bus")))))
WRITERS = {
    "CVAT, images": ("cvat", {}),
    "CVAT, video": ("cvat", {"layout": "video"}),
    "MOT": ("mot", {}),
    "COCO": ("coco", {}),
}


def frames(image_path: Path, count: int, shapes: int) -> list[Record]:
    """Create frames with moving shapes."""
    circle = [(math.cos(index * math.tau / 12), math.sin(index * math.tau / 12)) for index in range(12)]
    records = []
    for number in range(count):
        objects = []
        for index in range(shapes):
            x, y = 100 + (index * 53 + number * 2.37) % 1000, 100 + (index * 29 + number * 1.13) % 500
            ring = tuple((x + 30 * a, y + 20 * b) for a, b in circle)
            geometry = Box(x, y, x + 40, y + 30) if index % 2 else Polygon.simple(ring)
            objects.append(Object(str(index), "car" if index % 3 else "bus", geometry, track=str(index)))
        records.append(Record(f"street/{number:06}", LocalFile(image_path), {"objects": tuple(objects)}, SIZE))
    return records


def bare(records: list[Record], folder: Path) -> None:
    """Print every number once and copy the images."""
    with (folder / "numbers.txt").open("w") as out:
        for number, record in enumerate(records):
            for obj in record.values["objects"]:
                shape = obj.geometry
                numbers = shape.bounds_xyxy() if isinstance(shape, Box) else [v for xy in shape.parts[0][0] for v in xy]
                out.write(f"{number} {obj.track} {obj.class_name} {' '.join(map(repr, numbers))}\n")
            assert record.media is not None
            assert record.media.path is not None
            shutil.copyfile(record.media.path, folder / f"{number}.jpg")


def best_time(work: Callable[[Path], object], rounds: int) -> float:
    def run_rounds() -> Iterator[float]:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                work(Path(folder))
                yield time.perf_counter() - start

    return min(run_rounds())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=790)
    parser.add_argument("--shapes", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        image_path = Path(temporary) / "image_path.jpg"
        Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(image_path)
        records = frames(image_path, args.frames, args.shapes)
        seconds = {"bare loop": best_time(lambda folder: bare(records, folder), args.rounds)}
        for title, (name, options) in WRITERS.items():

            def write(folder: Path, name: str = name, options: dict[str, str] = options) -> None:
                stream = RecordStream(SCHEMA, iter(records), len(records))
                FORMATS.get(name).write(stream, folder, ConversionReport(), **options)

            seconds[title] = best_time(write, args.rounds)
    if args.json:
        print(json.dumps(seconds))
        return
    count = args.frames * args.shapes
    print(f"{count:,} shapes on {args.frames:,} frames")
    for title, elapsed in seconds.items():
        ratio = elapsed / seconds["bare loop"]
        print(f"{title:14} {elapsed:6.2f} s  {count / elapsed:9,.0f} shapes/s  {ratio:5.1f} bare loops")


if __name__ == "__main__":
    main()
