"""Compare reading mask PNGs with pycocotools, which encodes the mask of each object on its own.

usage: masks.py [--width 1920] [--height 1080] [--objects 40] [--repeats 5] [--json]

Both read the same two PNGs, of classes and of instances, and end with the run lengths of every object. The peer is the
usual loop of conversion scripts: read by Pillow, then `mask.encode(ids == id)` for each object. Prints milliseconds for
one image, the fastest of the repeats, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from saccade.core.objects import Mask
from saccade.core.report import ConversionReport
from saccade.formats.base import FORMATS

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_source(folder, (options.width, options.height), options.objects)
        # Both must find the same pixels, or the times would not be comparable.
        assert read_saccade(folder) == read_pycocotools(folder)
        result = {
            name: 1000 * min(timed(read, folder) for _ in range(options.repeats))
            for name, read in (("pycocotools", read_pycocotools), ("saccade", read_saccade))
        }
    if options.json:
        print(json.dumps(result))
        return
    for name, milliseconds in result.items():
        print(f"{name:12} {milliseconds:7.1f} ms")
    print(f"saccade / pycocotools: {result['saccade'] / result['pycocotools']:.2f}")


def write_source(folder: Path, size_wh: tuple[int, int], count: int) -> None:
    """Write an image with masks of random ellipses."""
    width, height = size_wh
    random = np.random.default_rng(0)
    classes: Pixels = np.zeros((height, width), np.uint8)
    instances: Pixels = np.zeros((height, width), np.uint8)
    for number in range(1, count + 1):
        centre = (int(random.integers(width)), int(random.integers(height)))
        radii = (int(random.integers(5, height // 5)), int(random.integers(5, height // 5)))
        angle = float(random.integers(180))
        cv2.ellipse(classes, centre, radii, angle, 0, 360, 1 + number % 20, -1)
        cv2.ellipse(instances, centre, radii, angle, 0, 360, number, -1)
    images = {"images": np.zeros((height, width, 3), np.uint8), "masks": classes, "instances": instances}
    for name, pixels in images.items():
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "a.png")


def read_saccade(folder: Path) -> list[tuple[int, ...]]:
    """Return the run lengths of each object, sorted."""
    (record,) = FORMATS.get("masks").read(folder, ConversionReport()).records
    geometries = [obj.geometry for obj in record.values["objects"]]
    return sorted(geometry.counts for geometry in geometries if isinstance(geometry, Mask))


def read_pycocotools(folder: Path) -> list[tuple[int, ...]]:
    """Return the same by the usual loop."""
    from saccade.core.geometry import coco_string_to_counts

    classes, instances = (np.asarray(Image.open(folder / name / "a.png")) for name in ("masks", "instances"))
    counts = []
    for number in np.unique(instances[classes > 0]).tolist():
        encoded = coco_mask.encode(np.asfortranarray(instances == number, np.uint8))
        counts.append(coco_string_to_counts(encoded["counts"]))
    return sorted(counts)


def timed(read: Callable[[Path], object], folder: Path) -> float:
    """Return the seconds that a function takes."""
    start = time.perf_counter()
    read(folder)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
