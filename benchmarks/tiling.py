"""Compare cutting a gigapixel TIFF into tiles by the operation `tile` with libvips' `dzsave`.

usage: tiling.py [--side 30000] [--size 512] [--folder DIR] [--json]

The image is created by libvips: tiled, 8 bits, three channels. Both write JPEG tiles of the same size and quality;
dzsave writes one level only. Each is a process of its own. Prints seconds, the ratio and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import run_measured

MAKE = """
import sys, pyvips
side = int(sys.argv[2])
noise = pyvips.Image.gaussnoise(1024, 1024, mean=128, sigma=20).cast("uchar")
plane = noise.replicate(side // 1024 + 1, side // 1024 + 1).crop(0, 0, side, side)
xy = pyvips.Image.xyz(side, side)
ramp = (xy[0] * (255 / side)).cast("uchar")
image = plane.bandjoin([ramp, plane]).copy(interpretation="srgb")
image.tiffsave(sys.argv[1], tile=True, tile_width=256, tile_height=256, compression="jpeg", Q=85, bigtiff=True)
"""
DZSAVE = """
import sys, time, json, pyvips
pyvips.cache_set_max(0)
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
start = time.perf_counter()
image.dzsave(sys.argv[2] + "/out", tile_size=int(sys.argv[3]), overlap=0, depth="one", suffix=".jpg[Q=95]")
print(json.dumps({"seconds": time.perf_counter() - start}))
"""
OURS = """
import json, sys, time
from pathlib import Path
from saccade.app.ingest.importing import import_dataset
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.execution.runner import Runner
from saccade.store.workspace import Workspace
source, folder, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with Workspace.create(folder / "home") as workspace:
    import_dataset(workspace, source.parent, "giant", link=True, format="images")
    steps = (Step("data", "dataset", {"name": "giant"}),
             Step("tiles", "tile", {"size": size, "format": "jpeg"}, {"data": ("data",)}))
    start = time.perf_counter()
    outcome = Runner(workspace, Graph("giant", steps)).run()
    print(json.dumps({"seconds": time.perf_counter() - start, "tiles": outcome["tiles"].items}))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=30_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        source = Path(temporary) / "source"
        source.mkdir()
        image_path = str(source / "giant.tif")
        run_measured([sys.executable, "-c", MAKE, image_path, str(options.side)])
        for name, program in (("dzsave", DZSAVE), ("tile", OURS)):
            folder = Path(temporary) / name
            folder.mkdir()
            out, memory = run_measured([sys.executable, "-c", program, image_path, str(folder), str(options.size)])
            result[name] = {**json.loads(out.strip().splitlines()[-1]), "memory_mb": memory}
    if options.json:
        print(json.dumps(result))
        return
    for name, timings in result.items():
        print(f"{name:7} {timings['seconds']:6.1f} s, {timings['memory_mb']:.0f} MB")
    ratio = result["tile"]["seconds"] / result["dzsave"]["seconds"]
    print(f"tile / dzsave: {ratio:.2f}, {result['tile']['tiles']:,} tiles")


if __name__ == "__main__":
    main()
