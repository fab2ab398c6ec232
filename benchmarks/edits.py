"""Many small edits of a large dataset: how long they take, and what reading costs after them.

usage: edits.py [--items 70000] [--edits 300] [--folder DIR] [--json]

Items have ten boxes each, as in scale.py; each edit changes one of them and is a version of its own. "fresh" is a
dataset written in one version, "edited" the same dataset after the edits: the ratio is the cost of the edits for reads.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scale import QUERY, items, schema

from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

READS: dict[str, Callable[[DatasetVersion], object]] = {
    "point read": lambda version: version.get("img00000007"),
    "query": lambda version: version.where(QUERY.format(name="ship")),
    "stats": lambda version: version.stats(),
}


def time_reads(workspace: Workspace, ref: str) -> dict[str, float]:
    """Time each kind of read on a freshly opened version, in seconds."""
    timings = {}
    for name, read in READS.items():
        version = workspace.datasets.open(ref)
        start = time.perf_counter()
        read(version)
        timings[name] = time.perf_counter() - start
    return timings


def measure(folder: Path, count: int, edits: int) -> dict[str, dict[str, float]]:
    """Time the reads before and after the edits, and all edits together, in seconds."""
    with Workspace.create(folder) as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema(), items(count), mode="create")
        time_reads(workspace, "d@1")
        fresh = time_reads(workspace, "d@1")
        start = time.perf_counter()
        for number in range(edits):
            datasets.write("d", schema(), items(1, number * 7 % count, 1.0), mode="merge")
        elapsed = time.perf_counter() - start
        time_reads(workspace, "d")
        return {"fresh": fresh, "edited": {**time_reads(workspace, "d"), "edits": elapsed}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=70_000)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        timings = measure(Path(temporary) / "home", options.items, options.edits)
    if options.json:
        print(json.dumps(timings))
        return
    print(f"{options.edits} edits of one item each of {options.items:,}: {timings['edited']['edits']:.1f} s")
    for name in READS:
        before, after = timings["fresh"][name], timings["edited"][name]
        print(f"  {name:12} fresh {before * 1e3:7.1f} ms, edited {after * 1e3:7.1f} ms, {after / before:.2f} times")


if __name__ == "__main__":
    main()
