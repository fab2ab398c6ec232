"""Many small edits of a large dataset: how long they take, and what reading costs after them.

usage: edits.py [--items 70000] [--edits 300] [--folder DIR] [--json]

Items have ten boxes each, as in scale.py; each edit changes one of them and is a version of its own. "fresh" is a
dataset that was written at once, "edited" the same after the edits: the ratio is what the edits cost whoever reads.
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

ASKED: dict[str, Callable[[DatasetVersion], object]] = {
    "point read": lambda version: version.get("img00000007"),
    "query": lambda version: version.where(QUERY.format(name="ship")),
    "stats": lambda version: version.stats(),
}


def asked(workspace: Workspace, ref: str) -> dict[str, float]:
    """Seconds of each question to a version that was just opened."""
    found = {}
    for name, ask in ASKED.items():
        version = workspace.datasets.open(ref)
        began = time.perf_counter()
        ask(version)
        found[name] = time.perf_counter() - began
    return found


def measure(folder: Path, count: int, edits: int) -> dict[str, dict[str, float]]:
    """Seconds of the questions before and after, and of all edits together."""
    with Workspace.create(folder) as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema(), items(count), mode="create")
        asked(workspace, "d@1")
        fresh, began = asked(workspace, "d@1"), time.perf_counter()
        for number in range(edits):
            datasets.write("d", schema(), items(1, number * 7 % count, 1.0), mode="merge")
        took = time.perf_counter() - began
        asked(workspace, "d")
        return {"fresh": fresh, "edited": {**asked(workspace, "d"), "edits": took}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=70_000)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder otherwise")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        found = measure(Path(place) / "home", given.items, given.edits)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.edits} edits of one item each of {given.items:,}: {found['edited']['edits']:.1f} s")
    for name in ASKED:
        before, after = found["fresh"][name], found["edited"][name]
        print(f"  {name:12} fresh {before * 1e3:7.1f} ms, edited {after * 1e3:7.1f} ms, {after / before:.2f} times")


if __name__ == "__main__":
    main()
