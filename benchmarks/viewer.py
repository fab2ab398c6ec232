"""Measure the item viewer with many objects: opening an image, selecting an object, panning and zooming.

usage: viewer.py [--boxes 10000] [--polygons 500] [--repeat 5] [--folder DIR] [--json]

Chromium shows an image with 10,000 boxes, and one with 500 polygons of 200 points. The peer is a bare page, served in
the same run from the same server: it loads the same image and JSON, draws all objects on one canvas at every change
and finds a clicked object by a linear scan.

Opening is the time from the navigation until the objects are on the screen; selecting that from the release of the
mouse button until the frame after it has been drawn; panning the time between two frames while the mouse moves.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route
from web import PASSWORD

from browser import FRAME_GAPS, RECORD_FRAMES, chromium
from server import start

WIDTH, HEIGHT = 1600, 1200
MARGIN = 12
"""Pixels around a fitted image, in both pages."""
CLASSES = 12
BARE_PAGE = """<!doctype html><style>body{margin:0}canvas{position:absolute;inset:0}</style><img id=i hidden>
<canvas class=overlay></canvas><script>
const key = new URLSearchParams(location.search).get('key'), canvas = document.querySelector('canvas')
canvas.width = innerWidth; canvas.height = innerHeight
const context = canvas.getContext('2d'), image = document.getElementById('i')
let objects = [], selected = null, drag = null, view
function path(object) {
  context.beginPath()
  if (object.geometry.type === 'box') {
    const [x1, y1, x2, y2] = object.bounds
    context.rect(view.x + x1 * view.s, view.y + y1 * view.s, (x2 - x1) * view.s, (y2 - y1) * view.s)
    return
  }
  for (const [ring] of object.geometry.parts) {
    for (const [x, y] of ring) context.lineTo(view.x + x * view.s, view.y + y * view.s)
    context.closePath()
  }
}
function draw() {
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.drawImage(image, view.x, view.y, 1600 * view.s, 1200 * view.s)
  for (const object of objects) {
    context.strokeStyle = context.fillStyle = `hsl(${30 * Number(object.class.slice(6))} 80% 50%)`
    context.lineWidth = object === selected ? 4 : 2
    path(object)
    context.globalAlpha = 0.12; context.fill(); context.globalAlpha = 1; context.stroke()
  }
}
function at(x, y) {
  let best = null, area = Infinity
  for (const object of objects) {
    const [x1, y1, x2, y2] = object.bounds, a = (x2 - x1) * (y2 - y1)
    if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && a < area) { best = object; area = a }
  }
  return best
}
canvas.onpointerdown = event => drag = [event.clientX, event.clientY, 0]
canvas.onpointermove = event => {
  if (!drag) return
  view.x += event.clientX - drag[0]; view.y += event.clientY - drag[1]
  drag = [event.clientX, event.clientY, 1]
  requestAnimationFrame(draw)
}
canvas.onpointerup = event => {
  if (!drag[2]) {
    selected = at((event.clientX - view.x) / view.s, (event.clientY - view.y) / view.s)
    requestAnimationFrame(draw)
  }
  drag = null
}
canvas.onwheel = event => {
  const factor = Math.exp(-event.deltaY * 0.0022)
  view = {s: view.s * factor, x: event.clientX - (event.clientX - view.x) * factor,
    y: event.clientY - (event.clientY - view.y) * factor}
  requestAnimationFrame(draw)
}
const base = '/api/v1/datasets/crowd%401/'
fetch(base + 'item?key=' + key).then(response => response.json()).then(async item => {
  image.src = base + 'image?size=2048&key=' + key
  await image.decode()
  objects = item.values.objects
  const s = Math.min((canvas.width - 24) / 1600, (canvas.height - 24) / 1200)
  view = {s, x: (canvas.width - 1600 * s) / 2, y: (canvas.height - 1200 * s) / 2}
  draw()
})
</script>"""
DRAWN = """() => new Promise(resolve => {
  const check = () => {
    const canvas = document.querySelector('canvas.overlay')
    const pixels = canvas?.width && canvas.getContext('2d')
      .getImageData(canvas.width / 2 - 50, canvas.height / 2 - 50, 100, 100).data
    pixels?.some((value, index) => index % 4 === 3 && value) ? resolve(performance.now()) : requestAnimationFrame(check)
  }
  check()
})"""
"""Milliseconds from the navigation until there are pixels in the middle of the overlay."""
NEXT_FRAME_AFTER_RELEASE = """() => {
  window.released = new Promise(resolve => addEventListener('pointerup', () => {
    const start = performance.now()
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = () => resolve(performance.now() - start)
      port2.postMessage(null)
    })
  }, { capture: true, once: true }))
}"""


def make(folder: Path, boxes: int, polygons: int) -> list[tuple[float, float]]:
    """Create a workspace with an image of many boxes and one of large polygons. Return the centres of some boxes."""
    from saccade.app.ingest.importing import import_dataset
    from saccade.core.objects import Box, Object, Polygon
    from saccade.core.reader import Item
    from saccade.core.roles import Role
    from saccade.core.schema import ClassInfo, Column, Kind, Schema
    from saccade.store.workspace import Workspace

    rng = np.random.default_rng(1)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    noise = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
    noise.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(pictures / "a.jpg")
    names = [f"class {number}" for number in range(CLASSES)]
    corners = rng.uniform((0, 0), (WIDTH - 40, HEIGHT - 40), (boxes, 2))
    sizes = rng.uniform(6, 40, (boxes, 2))
    box_objects = [
        Object(str(number), names[number % CLASSES], Box(*corner, *(corner + size)), score=0.5)
        for number, (corner, size) in enumerate(zip(corners, sizes, strict=True))
    ]
    angles = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    polygon_objects = []
    for number in range(polygons):
        radius = rng.uniform(15, 60) * (1 + 0.2 * np.sin(7 * angles))
        center = rng.uniform((70, 70), (WIDTH - 70, HEIGHT - 70))
        points = center + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        ring = tuple((float(x), float(y)) for x, y in points)
        polygon_objects.append(Object(str(number), names[number % CLASSES], Polygon(((ring,),))))
    with Workspace.create(folder / "home") as workspace:
        workspace.users.add("a@example.org", Role.OWNER, "A", PASSWORD)
        image = next(import_dataset(workspace, pictures, "pictures").version.items())["image"]
        classes = tuple(ClassInfo(name) for name in names)
        schema = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)))
        items = [
            Item("boxes", {"image": image, "objects": tuple(box_objects)}),
            Item("polygons", {"image": image, "objects": tuple(polygon_objects)}),
        ]
        workspace.datasets.write("crowd", schema, items, mode="create")
    return [(float(x), float(y)) for x, y in (corners + sizes / 2)[: 20 * 37 : 37]]


def measure_page(page: Page, path: str, centers: list[tuple[float, float]], repeat: int) -> dict[str, float]:
    """Measure one page: milliseconds of opening (median), selecting (median, maximum), panning and zooming (95 %)."""
    opening = []
    for _ in range(repeat):
        page.goto(path)
        opening.append(page.evaluate(DRAWN))
    box = page.locator("canvas.overlay").bounding_box()
    assert box is not None
    scale = min((box["width"] - 2 * MARGIN) / WIDTH, (box["height"] - 2 * MARGIN) / HEIGHT)
    left = box["x"] + (box["width"] - WIDTH * scale) / 2
    top = box["y"] + (box["height"] - HEIGHT * scale) / 2
    page.wait_for_timeout(1000)
    selecting = []
    for x, y in centers:
        page.evaluate(NEXT_FRAME_AFTER_RELEASE)
        page.mouse.click(left + x * scale, top + y * scale)
        selecting.append(page.evaluate("window.released"))
    page.mouse.move(left + 300, top + 300)
    page.mouse.down()
    page.evaluate(RECORD_FRAMES)
    for step in range(60):
        page.mouse.move(left + 300 + 3 * step, top + 300 + 2 * step)
    panning = page.evaluate(FRAME_GAPS)
    page.mouse.up()
    page.evaluate(RECORD_FRAMES)
    for step in range(40):
        page.mouse.wheel(0, -60 if step < 20 else 60)
    zooming = page.evaluate(FRAME_GAPS)
    return {
        "opening": statistics.median(opening),
        "selecting": statistics.median(selecting),
        "selecting_max": max(selecting),
        "panning_p95": statistics.quantiles(panning, n=20)[-1],
        "zooming_p95": statistics.quantiles(zooming, n=20)[-1],
    }


def measure(folder: Path, boxes: int, polygons: int, repeat: int) -> dict[str, Any]:
    """Measure the viewer and the bare page, in turn, for both images."""
    centers = make(folder, boxes, polygons)
    process, api, _ = start(folder / "home")
    results: dict[str, Any] = {}
    try:
        with chromium() as browser:
            page = browser.new_page(base_url=api.removesuffix("/api/v1"), viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)

            def answer(route: Route) -> None:
                route.fulfill(body=BARE_PAGE, content_type="text/html")

            page.route("**/bare.html*", answer)
            page.goto("/")
            page.get_by_label("E-mail").fill("a@example.org")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Hello, A").wait_for()
            for key in ("boxes", "polygons"):
                bare = measure_page(page, f"/bare.html?key={key}", centers, repeat)
                viewer = measure_page(page, f"/datasets/crowd@1/item?key={key}", centers, repeat)
                results[key] = {
                    name: {"viewer": value, "bare": bare[name], "ratio": value / bare[name]}
                    for name, value in viewer.items()
                }
    finally:
        process.terminate()
        process.wait()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--polygons", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        results = measure(Path(temporary), options.boxes, options.polygons, options.repeat)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for key, count in (("boxes", options.boxes), ("polygons", options.polygons)):
        print(f"{count:,} {key:<16} {'viewer':>9} {'bare page':>10} {'ratio':>6}")
        for name, value in results[key].items():
            print(f"  {name:<20} {value['viewer']:>6.0f} ms {value['bare']:>7.0f} ms {value['ratio']:>6.2f}")


if __name__ == "__main__":
    main()
