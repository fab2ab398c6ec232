"""Compare the canvas of the labelling screen with plain SVG: panning, zooming, selecting and moving many objects.

usage: canvas.py [--polygons 10000] [--masks 30] [--frames 120] [--view 1280x720] [--konva FILE] [--json]

Chromium without a GPU shows the editor with 10,000 polygons of 12 points over a picture, and in the same run the same
objects as SVG, one path for each, as CVAT draws them (masks as pictures). With ``--konva``, a file konva.min.js, also
as shapes of Konva. A second page has 30 masks of a megapixel.

The view changes at every frame, by an event in the page. "CPU" is the time of all Chromium processes, without the
driver, for each frame. "settling" is the CPU time of the second after that, in which the editor draws its bitmap again.
"first paint" and "selecting" end two frames after the one that drew, since Chromium may begin a frame before the
previous one is rasterized: about 33 ms at least. Selecting and moving use the mouse.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page

from browser import FRAME_GAPS, RECORD_FRAMES, chromium, chromium_cpu_ms, percentile_95

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 1600, 1000
MASK_WIDTH, MASK_HEIGHT = 1200, 1000
CLASSES = 12
POINTS = 12
SELECTIONS = 8
MOVES = 60
MAX_MOVING_S = 5
PAGE = "<!doctype html><style>body{margin:0}#host{width:100vw;height:100vh;overflow:hidden}</style><div id=host></div>"
Objects = list[dict[str, Any]]
Result = dict[str, float]


def create_object(number: int, geometry: dict[str, Any]) -> dict[str, Any]:
    """Return an object as the editor takes it."""
    fields: dict[str, Any] = {"attributes": {}, "score": None, "track": None, "order": 0, "source": "manual"}
    return {"id": str(number), "class": str(number % CLASSES), "geometry": geometry, **fields}


def create_polygons(count: int) -> tuple[Objects, list[tuple[float, float]]]:
    """Return irregular polygons all over the picture, and their centres."""
    rng = np.random.default_rng(1)
    angles = np.linspace(0, 2 * math.pi, POINTS, endpoint=False)
    centers = rng.uniform((12, 12), (WIDTH - 12, HEIGHT - 12), (count, 2))
    objects = []
    for number, center in enumerate(centers):
        radius = rng.uniform(4, 12) * rng.uniform(0.7, 1.3, POINTS)
        ring = (center + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).round(2).tolist()
        objects.append(create_object(number, {"type": "polygon", "parts": [[ring]]}))
    return objects, [(float(x), float(y)) for x, y in centers]


def create_masks(count: int) -> Objects:
    """Return masks over all of a picture: blobs of many strokes, as run lengths by column."""
    rng = np.random.default_rng(2)
    objects = []
    for number in range(count):
        mask = Image.new("1", (MASK_WIDTH, MASK_HEIGHT))
        for x, y, radius in rng.uniform((0, 0, 20), (MASK_WIDTH, MASK_HEIGHT, 90), (25, 3)):
            ImageDraw.Draw(mask).circle((x, y), radius, fill=1)
        pixels = np.asarray(mask).copy()
        pixels[0, 0] = False  # run lengths begin with the background
        values = pixels.T.ravel()
        starts = np.flatnonzero(np.diff(values)) + 1
        counts = np.diff([0, *starts, values.size]).tolist()
        geometry = {"type": "mask", "width": MASK_WIDTH, "height": MASK_HEIGHT, "counts": counts}
        objects.append(create_object(number, geometry))
    return objects


def create_picture(width: int, height: int) -> dict[str, Any]:
    """Return a grey picture, so that everything coloured is an object."""
    noise = np.random.default_rng(3).integers(60, 200, (height // 20, width // 20), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert("RGB").save(buffer, "JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"url": url, "width": width, "height": height}


def bundle_editor(folder: Path) -> Path:
    """Bundle the editor of this checkout into one script."""
    script = folder / "editor.js"
    bundle = ["rolldown", "src/canvas/editor/index.ts", "--format", "iife", "--name", "saccadeEditor"]
    command = [
        sys.executable,
        str(ROOT / "tools" / "build_web.py"),
        "exec",
        "--no",
        "--",
        *bundle,
        "--file",
        str(script),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return script


def show(page: Page, objects: Objects) -> dict[str, float]:
    """Show objects. Return the milliseconds until they were drawn and the longest time between two frames."""
    # As text: Playwright takes half a minute for the arguments of 10,000 polygons.
    shown: dict[str, float] = page.evaluate("text => showObjects(JSON.parse(text))", json.dumps(objects))
    return shown


def drive(page: Page, kind: str, count: int) -> tuple[float, list[float]]:
    """Change the view at each of some frames. Return the CPU milliseconds a frame and the times between frames."""
    start = chromium_cpu_ms()
    gaps: list[float] = page.evaluate("([kind, count]) => drive(kind, count)", [kind, count])
    return (chromium_cpu_ms() - start) / (len(gaps) + 1), gaps


def open_page(
    browser: Browser, name: str, scripts: list[Path], picture: dict[str, Any], view: tuple[int, int]
) -> tuple[Page, dict[str, float]]:
    """Open a design with a picture. Return the page and where the picture is on it."""
    page = browser.new_page(viewport={"width": view[0], "height": view[1]})
    page.set_default_timeout(300_000)
    page.on("pageerror", lambda error: print(error, file=sys.stderr))
    page.set_content(PAGE)
    for script in (*scripts, ROOT / "benchmarks" / "canvas.js"):
        page.add_script_tag(path=script)
    return page, page.evaluate("([name, picture]) => open(name, picture)", [name, picture])


def measure_polygons(page: Page, view: dict[str, float], count: int, frames: int) -> Result:
    """Measure a design with many polygons."""
    objects, centers = create_polygons(count)
    shown = show(page, objects)
    page.wait_for_timeout(2000)
    result = {"first paint ms": shown["drawn"]}
    idle, _ = drive(page, "none", frames)
    result["idle CPU ms a frame"] = idle
    for kind in ("pan", "zoom"):
        cpu, gaps = drive(page, kind, frames)
        result[f"{kind} CPU ms a frame"] = cpu
        result[f"{kind} frame p50 ms"] = statistics.median(gaps)
        result[f"{kind} frame p95 ms"] = percentile_95(gaps)
        start = chromium_cpu_ms()
        page.wait_for_timeout(1000)
        result[f"{kind} settling CPU ms"] = chromium_cpu_ms() - start
    page.evaluate("design.fit()")  # slow designs do not get back to where they began
    page.wait_for_timeout(1500)
    latencies = []
    position = (0.0, 0.0)
    for x, y in centers[:: max(1, count // SELECTIONS)][:SELECTIONS]:
        position = (view["x"] + x * view["scale"], view["y"] + y * view["scale"])
        page.evaluate("watchPress()")
        page.mouse.click(*position)
        press = page.evaluate("window.pressed")
        if press["selected"] is not None:
            latencies.append(press["latency"])
        page.wait_for_timeout(450)  # two clicks would be a double click
    result["clicks without effect"] = SELECTIONS - len(latencies)
    result["selecting p50 ms"] = statistics.median(latencies)
    result["selecting longest ms"] = max(latencies)
    page.mouse.move(*position)
    page.mouse.down()
    page.evaluate(RECORD_FRAMES)
    start = chromium_cpu_ms()
    end = time.monotonic() + MAX_MOVING_S
    for step in range(MOVES):
        page.mouse.move(position[0] - step, position[1] + step / 2)
        if time.monotonic() > end:
            break
    cpu = chromium_cpu_ms() - start
    gaps = page.evaluate(FRAME_GAPS)
    page.mouse.up()
    result["moving CPU ms a frame"] = cpu / max(1, len(gaps))
    result["moving frame p95 ms"] = percentile_95(gaps)
    return result


def measure_masks(page: Page, view: dict[str, float], count: int, frames: int, has_brush: bool) -> Result:
    """Measure a design with large masks: the longest time between two frames."""
    shown = show(page, create_masks(count))
    page.wait_for_timeout(1000)
    result = {"masks first paint ms": shown["drawn"], "masks first paint pause ms": shown["longest"]}
    for kind in ("pan", "zoom"):
        cpu, gaps = drive(page, kind, frames)
        page.wait_for_timeout(500)
        result[f"masks {kind} CPU ms a frame"] = cpu
        result[f"masks {kind} pause ms"] = max(gaps)
    if has_brush:
        page.evaluate("design.startBrush('0')")
        page.mouse.move(view["x"] + 100, view["y"] + 100)
        page.evaluate(RECORD_FRAMES)
        page.mouse.down()
        for step in range(60):
            page.mouse.move(view["x"] + 100 + 5 * step, view["y"] + 100 + 3 * step)
        page.mouse.up()
        page.wait_for_timeout(500)
        result["masks brush pause ms"] = max(page.evaluate(FRAME_GAPS))
    return result


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Result]:
    """Measure all designs, one after the other."""
    width, height = map(int, options.view.split("x"))
    view_size = (width, height)
    designs: dict[str, list[Path]] = {"saccade": [bundle_editor(folder)], "svg": []}
    if options.konva:
        designs["konva"] = [options.konva]
    results: dict[str, Result] = {}
    for name, scripts in designs.items():
        with chromium() as browser:  # a process of its own: no design pays for the memory of another
            picture = create_picture(WIDTH, HEIGHT)
            page, view = open_page(browser, name, scripts, picture, view_size)
            results[name] = measure_polygons(page, view, options.polygons, options.frames)
            page.close()
            if name == "konva":
                continue
            picture = create_picture(MASK_WIDTH, MASK_HEIGHT)
            page, view = open_page(browser, name, scripts, picture, view_size)
            results[name] |= measure_masks(page, view, options.masks, options.frames, name == "saccade")
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polygons", type=int, default=10_000)
    parser.add_argument("--masks", type=int, default=30)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--view", default="1280x720", help="the size of the canvas in pixels")
    parser.add_argument("--konva", type=Path, help="konva.min.js, to compare with Konva as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
    if options.json:
        print(json.dumps(results, indent=2))
        return
    peers = [name for name in results if name != "saccade"]
    print(f"{'':<28}{'saccade':>10}" + "".join(f"{name:>10}{'ratio':>8}" for name in peers))
    for key, value in results["saccade"].items():
        cells = ""
        for name in peers:
            peer = results[name].get(key)
            cells += f"{'-':>10}{'-':>8}" if peer is None else f"{peer:>10.1f}{value / max(peer, 0.1):>8.2f}"
        print(f"{key:<28}{value:>10.1f}{cells}")


if __name__ == "__main__":
    main()
