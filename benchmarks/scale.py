"""Measure how time and memory scale with a dataset: write, open, point read, query, histogram, diff of 1 %, merge.

usage: scale.py [--items 10000 100000 1000000] [--folder DIR] [--json]

Items have an image reference and ten boxes each; no media is read. Each step is a process of its own, whose startup is
not counted; "again" is a second request of the same kind. Open and point read should stay constant, all others should
grow index most linearly. Prints seconds and the peak memory of the process; "make" only generates the items.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from measured import run_measured

CLASSES = ("ship", "car", "tree", "dog", "cat")


def items(count: int, start: int = 0, shift: float = 0.0, *, scored: bool = False) -> Iterator[Any]:
    """Generate items with ten boxes each, with scores if ``scored``; the same numbers always give the same items."""
    import numpy as np

    from saccade.core.objects import Box, Object
    from saccade.core.reader import Item
    from saccade.core.schema import ImageRef

    for number in range(start, start + count):
        random = np.random.default_rng(number)
        class_indices = random.integers(0, 5, 10).tolist()
        corners = (random.random((10, 4)) * 100 + shift).tolist()
        scores = random.random(10).tolist() if scored else [None] * 10
        objects = tuple(
            Object(str(index), CLASSES[class_indices[index]], Box(x, y, x + width + 1, y + height + 1), scores[index])
            for index, (x, y, width, height) in enumerate(corners)
        )
        image = ImageRef(f"{number:064x}", 1000, f"{number}.jpg", 200, 200, "jpeg")
        split = "val" if number % 10 == 0 else "train"
        yield Item(f"img{number:08}", {"image": image, "objects": objects, "split": split})


QUERY = 'any(objects, class == "{name}" and area > 400) and split == "val"'
Timed = Callable[[str, Callable[[], object]], Any]


def schema() -> Any:
    from saccade.core.schema import ClassInfo, Column, Kind, Schema

    objects = Column("objects", Kind.OBJECTS, (ClassInfo("ship"),))
    return Schema((Column("image", Kind.IMAGE), objects, Column("split", Kind.TEXT)))


def make(datasets: Any, count: int, timed: Timed) -> None:
    timed("make", lambda: sum(1 for _ in items(count)))


def write(datasets: Any, count: int, timed: Timed) -> None:
    timed("write", lambda: datasets.write("d", schema(), items(count), mode="create"))


def read(datasets: Any, count: int, timed: Timed) -> None:
    version = timed("open", lambda: datasets.open("d"))
    timed("point read", lambda: version.get(f"img{count // 2:08}"))
    timed("point read again", lambda: version.get(f"img{count // 3:08}"))


def query(datasets: Any, count: int, timed: Timed) -> None:
    version = datasets.open("d")
    timed("query", lambda: version.where(QUERY.format(name="ship")))
    timed("query again", lambda: version.where(QUERY.format(name="dog")))


def histogram(datasets: Any, count: int, timed: Timed) -> None:
    version = datasets.open("d")
    timed("histogram", lambda: version.histogram("area", over="objects"))


def stats(datasets: Any, count: int, timed: Timed) -> None:
    timed("stats", datasets.open("d").stats)


def change(datasets: Any, count: int, timed: Timed) -> None:
    datasets.branch("d", "trial", "d@1")
    changed = max(1, count // 100)
    timed("change 1 %", lambda: datasets.write("d", schema(), items(changed, 0, 1.0), mode="merge"))
    datasets.write("d", schema(), items(changed, count // 2, 2.0), mode="merge", branch="trial")


def diff(datasets: Any, count: int, timed: Timed) -> None:
    timed("diff of 1 %", lambda: datasets.diff("d@1", "d@2").counts)


def merge(datasets: Any, count: int, timed: Timed) -> None:
    timed("merge of 1 %", lambda: datasets.merge("d@trial"))


STEPS: Mapping[str, Callable[[Any, int, Timed], None]] = {
    step.__name__: step for step in (make, write, read, query, histogram, stats, change, diff, merge)
}


def run_step(step: str, count: int, folder: Path) -> dict[str, float]:
    """Run a step and return the seconds of each of its operations."""
    from saccade.store.workspace import Workspace

    timings: dict[str, float] = {}

    def timed(name: str, operation: Callable[[], object]) -> Any:
        start_time = time.perf_counter()
        result = operation()
        timings[name] = time.perf_counter() - start_time
        return result

    with Workspace.open(folder) as workspace:
        STEPS[step](workspace.datasets, count, timed)
    return timings


def measure(count: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Run all steps and return the seconds and megabytes of each operation."""
    from saccade.store.workspace import Workspace

    Workspace.create(folder).close()
    timings: dict[str, tuple[float, float]] = {}
    for step in STEPS:
        command = [sys.executable, __file__, "--items", str(count), "--folder", str(folder), "--step", step]
        out, megabytes = run_measured(command)
        timings |= {name: (seconds, megabytes) for name, seconds in json.loads(out).items()}
    return timings


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.items[0], options.folder)))
        return
    results = {}
    for count in options.items:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results[count] = measure(count, Path(folder) / "home")
    if options.json:
        print(json.dumps(results))
        return
    print("".ljust(18), *(f"{count:>12,} items     " for count in results))
    for name in next(iter(results.values())):
        cells = (
            f"{seconds:10.3f} s {megabytes:6.0f} MB"
            for seconds, megabytes in (timings[name] for timings in results.values())
        )
        print(name.ljust(18), *(cell.ljust(24) for cell in cells))


if __name__ == "__main__":
    main()
