"""Random access to single items of a dataset: by position and by key, beside a take from an Arrow file in memory maps.

usage: point_reads.py [--items 20000] [--reads 300] [--json]

Items have an image reference and ten boxes each. The peer is what Hugging Face ``datasets`` does for ``dataset[i]``:
a slice of a memory-mapped Arrow file, converted to Python values. It finds no keys, so only positions are compared.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
from scale import items, schema

from saccade.store.workspace import Workspace


def time_reads(read: Callable[[int], object], positions: Iterable[int]) -> dict[str, float]:
    """Time each read; returns the first one and the median of the others in milliseconds."""
    timings = []
    for position in positions:
        start = time.perf_counter()
        read(position)
        timings.append((time.perf_counter() - start) * 1e3)
    return {"first": timings[0], "median": statistics.median(timings[1:])}


def measure(folder: Path, count: int, reads: int) -> dict[str, dict[str, float]]:
    """Time random reads of freshly opened data."""
    positions = random.Random(1).choices(range(count), k=reads)
    with Workspace.create(folder / "workspace") as workspace:
        version = workspace.datasets.write("d", schema(), items(count), mode="create")
        path = folder / "peer.arrow"
        with pa.OSFile(str(path), "wb") as sink:
            batches = version.to_arrow(batch_size=1000)
            first = next(batches)
            with pa.ipc.new_file(sink, first.schema) as writer:
                writer.write_batch(first)
                for batch in batches:
                    writer.write_batch(batch)
        by_position = workspace.datasets.open("d")
        by_key = workspace.datasets.open("d")
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            return {
                "position": time_reads(lambda position: by_position[position], positions),
                "key": time_reads(lambda position: by_key[f"img{position:08}"], positions),
                "arrow slice": time_reads(lambda position: table.slice(position, 1).to_pylist(), positions),
            }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--reads", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        timings = measure(Path(folder), options.items, options.reads)
    if options.json:
        print(json.dumps(timings))
        return
    peer = timings["arrow slice"]["median"]
    for name, timing in timings.items():
        print(
            f"{name:12} first {timing['first']:7.2f} ms, then {timing['median']:6.2f} ms, "
            f"{timing['median'] / peer:.1f} times the Arrow slice"
        )


if __name__ == "__main__":
    main()
