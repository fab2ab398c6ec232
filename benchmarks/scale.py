"""How time and memory grow with a dataset: write, open, point read, query, histogram, diff of 1 %, merge.

usage: scale.py [--items 10000 100000 1000000] [--folder DIR] [--json]

Items have a reference to an image and ten boxes each; no media is read. Each size is a process of its own. Open and
point read should stay flat, all else should grow no faster than the items. Printed with each step is the largest
resident size up to then; "make" is the making of the items alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CLASSES = ("ship", "car", "tree", "dog", "cat")


def items(count: int, start: int = 0, shift: float = 0.0, *, scored: bool = False) -> Iterator[Any]:
    """Items with ten boxes each, with scores if wanted; those of one number are the same at every call."""
    import numpy as np

    from saccade.core.objects import Box, Object
    from saccade.core.reader import Item
    from saccade.core.schema import ImageRef

    for number in range(start, start + count):
        random = np.random.default_rng(number)
        kinds = random.integers(0, 5, 10).tolist()
        corners = (random.random((10, 4)) * 100 + shift).tolist()
        scores = random.random(10).tolist() if scored else [None] * 10
        objects = tuple(
            Object(str(at), CLASSES[kinds[at]], Box(x, y, x + width + 1, y + height + 1), scores[at])
            for at, (x, y, width, height) in enumerate(corners)
        )
        image = ImageRef(f"{number:064x}", 1000, f"{number}.jpg", 200, 200, "jpeg")
        split = "val" if number % 10 == 0 else "train"
        yield Item(f"img{number:08}", {"image": image, "objects": objects, "split": split})


def measure(count: int, folder: Path) -> dict[str, float]:
    """Seconds of each step, and megabytes."""
    from saccade.core.schema import ClassInfo, Column, Kind, Schema
    from saccade.store.workspace import Workspace

    schema = Schema(
        (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("ship"),)), Column("split", Kind.TEXT))
    )
    found: dict[str, float] = {}

    def timed(name: str, step: Callable[[], object]) -> Any:
        began = time.perf_counter()
        result = step()
        found[name] = time.perf_counter() - began
        found[f"{name}_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return result

    with Workspace.create(folder) as workspace:
        datasets = workspace.datasets
        timed("make", lambda: sum(1 for _ in items(count)))
        timed("write", lambda: datasets.write("d", schema, items(count), mode="create"))
        version = timed("open", lambda: datasets.open("d"))
        timed("first point read", lambda: version.get(f"img{count // 2:08}"))
        timed("point read", lambda: version.get(f"img{count // 3:08}"))
        timed("query", lambda: version.where('any(objects, class == "ship" and area > 400) and split == "val"'))
        timed("histogram", lambda: version.histogram("area", over="objects"))
        timed("stats", version.stats)
        datasets.branch("d", "trial", "d@1")
        few = max(1, count // 100)
        timed("change 1 %", lambda: datasets.write("d", schema, items(few, 0, 1.0), mode="merge"))
        datasets.write("d", schema, items(few, count // 2, 2.0), mode="merge", branch="trial")
        timed("diff of 1 %", lambda: datasets.diff("d@1", "d@2").counts)
        timed("merge of 1 %", lambda: datasets.merge("d@trial"))
    return found


def main() -> None:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder otherwise")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.folder)))
        return
    results = {}
    for count in options.items:
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        command = [sys.executable, __file__, "--one", str(count), "--folder", str(folder)]
        results[count] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(results))
        return
    names = [name for name in next(iter(results.values())) if not name.endswith("_mb")]
    print("".ljust(18), *(f"{count:>12,} items     " for count in results))
    for name in names:
        cells = (f"{found[name]:10.3f} s {found[f'{name}_mb']:6.0f} MB" for found in results.values())
        print(name.ljust(18), *(cell.ljust(24) for cell in cells))


if __name__ == "__main__":
    main()
