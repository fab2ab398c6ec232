"""The viewer of an item in the browser: the video player, exact to the frame, and images with many objects."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tests.browser.conftest import OpenPage, Server, assert_accessible, take_screenshot
from tests.support.http_receiver import until
from tests.support.video_clips import make_clip

from saccade.app.ingest.importing import import_dataset
from saccade.core.objects import Box, Object, Polygon
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
FRAMES = 60
TICKS = [2 * number + (60 if number >= 30 else 0) + (number % 3 == 2) for number in range(FRAMES)]
"""Times of the frames in units of 1/50 s: a variable rate, with a pause of more than a second before frame 30."""
LABELLED = range(10, 50)
CLASSES = (ClassInfo("ship", color="#ff8800"), ClassInfo("buoy", color="#2277cc"))
SHOWN_STATE = """() => {
  const canvas = document.querySelector('canvas[data-frame]')
  if (!canvas) return null
  const context = canvas.getContext('2d')
  const { width, height } = canvas
  const bar = width / 16
  let number = 0
  for (let bit = 0; bit < 16; bit += 1) {
    if (context.getImageData(Math.floor((bit + 0.5) * bar), height / 2, 1, 1).data[0] > 128) number += 2 ** bit
  }
  return {
    picture: number,
    attribute: Number(canvas.dataset.frame),
    field: Number(document.querySelector('[aria-label="Go to frame"]').value),
    objects: [...document.querySelectorAll('.object')].map(element => element.innerText.match(/#(\\S+)/)[1]),
    time: document.querySelector('[data-test=time]').innerText.split(' ')[0],
  }
}"""
"""The number in the picture of the frame, as the bars of its clip show it, and what the screen says about it."""
RECORD_STATES = f"""() => {{
  window.states = []
  const read = {SHOWN_STATE}
  const record = () => {{
    window.states.push(read())
    window.recording = requestAnimationFrame(record)
  }}
  record()
}}"""


@pytest.fixture(scope="session")
def clips(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The server, with a video as one item (clips), and its frames as items with objects (crossing)."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "lake.mp4", FRAMES, ticks=TICKS, unit=Fraction(1, 50), options={"g": "20", "bf": "2"})
    with Workspace.open(server.workspace) as workspace:
        import_dataset(workspace, folder, "clips", format="videos", options={"frames": "none"})
        frames = import_dataset(workspace, folder, "unlabelled-frames", format="videos").version
        schema = Schema((*frames.schema.columns, Column("objects", Kind.OBJECTS, CLASSES)))
        items = [Item(item.key, {**item.values, "objects": objects_of(item["image"].frame)}) for item in frames.items()]
        workspace.datasets.write("crossing", schema, items, mode="create")
        every_seventh = [item for item in items if item["image"].frame % 7 == 0]
        workspace.datasets.write("sampled", schema, every_seventh, mode="create")
    return server


def objects_of(frame: int) -> tuple[Object, ...] | None:
    """Objects whose ids contain the number of their frame."""
    if frame not in LABELLED:
        return () if frame < LABELLED.start else None
    return (
        Object(f"s{frame}", "ship", Box(frame / 2, 20, frame / 2 + 10, 30), track="1"),
        Object(f"b{frame}", "buoy", Box(40, 2, 46, 8)),
    )


def shown_state(page: Page) -> dict[str, Any]:
    state: dict[str, Any] = page.evaluate(SHOWN_STATE)
    return state


def expect_frame(page: Page, number: int) -> None:
    """Wait until a frame is shown, and check that the picture, the number, the time and the objects are its own."""
    until(lambda: (page.evaluate(SHOWN_STATE) or {}).get("attribute") == number)
    state = shown_state(page)
    assert (state["picture"], state["field"]) == (number, number)
    centiseconds = 2 * TICKS[number]
    assert state["time"] == f"0:{centiseconds // 100:02}.{centiseconds % 100:02}"


def test_every_step_shows_exactly_one_frame(open_page: OpenPage, clips: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets/clips@1/item?key=lake")
    expect_frame(page, 0)
    slider = page.get_by_role("slider", name="Timeline")
    expect(slider).to_have_attribute("aria-valuemax", "59")
    for key, number in (
        ("ArrowRight", 1),
        (".", 2),
        ("Shift+ArrowRight", 12),
        ("ArrowLeft", 11),
        (",", 10),
        ("End", 59),
        ("ArrowRight", 59),
        ("Shift+ArrowLeft", 49),
        ("Home", 0),
        ("ArrowLeft", 0),
    ):
        page.keyboard.press(key)
        expect_frame(page, number)
    slider.focus()
    for key, number in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("End", 59)):
        slider.press(key)
        expect_frame(page, number)
    expect(slider).to_have_attribute("aria-valuetext", "Frame 59, 0:03.58")
    for name, number in (("First frame", 0), ("Next frame", 1), ("Last frame", 59), ("Previous frame", 58)):
        page.get_by_role("button", name=name).click()
        expect_frame(page, number)
    field = page.get_by_label("Go to frame")
    field.fill("31")
    field.press("Enter")
    expect_frame(page, 31)
    field.fill("9999")
    field.press("ArrowLeft")  # moves the cursor, not the video
    field.press("Enter")
    expect_frame(page, 59)
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": 1, "y": 10})
    expect_frame(page, 0)
    slider.click(position={"x": box["width"] / 2, "y": 10})
    expect_frame(page, 29)  # half of the duration lies in the pause before frame 30
    assert_accessible(page)
    take_screenshot(page, "video-light-1440")


def test_playing_shows_frames_in_order_with_their_objects(open_page: OpenPage, clips: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets/crossing@1/item?key=lake%2F000005&index=5")
    expect_frame(page, 5)
    expect(page.get_by_text("Labelled: no objects")).to_be_visible()
    page.evaluate(RECORD_STATES)
    page.get_by_label("Speed").first.press("ArrowDown")
    page.keyboard.press("Escape")
    page.locator("header strong").click()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # at the end
    expect_frame(page, 59)
    states = page.evaluate("cancelAnimationFrame(window.recording), window.states")
    numbers = [state["picture"] for state in states]
    assert numbers == sorted(numbers)
    for state in states:
        number = state["picture"]
        assert (state["attribute"], state["field"]) == (number, number)
        assert state["objects"] == [obj.id for obj in sorted(objects_of(number) or (), key=lambda obj: obj.class_name)]
    expect(page.get_by_text("Not labelled yet")).to_be_visible()
    expect(page).to_have_url(re.compile("key=lake/000059&index=59"))
    expect(page.locator("header strong")).to_have_text("lake/000059")


def test_frames_that_are_items(open_page: OpenPage, clips: Server) -> None:
    """Only the frames that are in the dataset are shown; the item follows the frame, and the frame the item."""
    page = open_page(Role.VIEWER, path="/datasets/sampled")
    page.get_by_role("button", name=re.compile("^Item ")).nth(2).click()
    expect_frame(page, 14)
    page.keyboard.press("ArrowRight")
    expect_frame(page, 21)
    expect(page).to_have_url(re.compile("key=lake/000021&index=3"))
    expect(page.get_by_text("4 of 9")).to_be_visible()
    page.keyboard.press("PageDown")
    expect_frame(page, 28)
    page.get_by_role("button", name="Previous item").click()
    expect_frame(page, 21)
    field = page.get_by_label("Go to frame")
    field.fill("40")
    field.press("Enter")
    expect_frame(page, 35)
    ship = page.locator(".object", has_text="#s35")
    ship.click()
    expect(ship).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Hide class: ship").click()
    expect(page.get_by_role("button", name="Show class: ship")).to_be_visible()
    page.get_by_role("button", name="Next frame").press(" ")  # presses the button instead of playing
    expect_frame(page, 42)


def test_player_at_all_sizes(open_page: OpenPage, clips: Server) -> None:
    for theme, width in (("dark", 390), ("light", 1024), ("dark", 1440)):
        page = open_page(Role.VIEWER, theme=theme, width=width, path="/datasets/crossing/item?key=lake%2F000020")
        expect_frame(page, 20)
        for name in ("Play", "Next frame", "Last frame"):
            expect(page.get_by_role("button", name=name)).to_be_in_viewport()
        assert_accessible(page)
        take_screenshot(page, f"video-{theme}-{width}")


def test_errors_of_a_video(open_page: OpenPage, clips: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets")
    page.route("**/frames?*", lambda route: route.abort())
    page.goto("/datasets/clips/item?key=lake")
    expect(page.get_by_role("alert")).to_contain_text("The server does not respond")
    take_screenshot(page, "video-error")
    page.unroute("**/frames?*")
    page.get_by_role("button", name="Try again").click()
    expect_frame(page, 0)
    expect(page.get_by_role("alert")).to_have_count(0)
    damaged = (0).to_bytes(4, "big") * 64
    page.route("**/frames?*", lambda route: route.fulfill(body=damaged, content_type="application/octet-stream"))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("Frame 0 is damaged")


@pytest.fixture(scope="session")
def crowd(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The server, with an image of 10,000 boxes, one of 500 polygons of 200 points, and one without objects."""
    folder = tmp_path_factory.mktemp("crowd")
    Image.new("RGB", (1000, 1000), (90, 90, 90)).save(folder / "grey.png")
    names = [f"class {number}" for number in range(4)]
    boxes = tuple(
        Object(str(10 * y + 1000 * x), names[(x + y) % 4], Box(10 * x + 1, 10 * y + 1, 10 * x + 9, 10 * y + 9))
        for x in range(100)
        for y in range(100)
    )
    polygons = tuple(
        Object(f"p{number}", names[number % 4], circle(40 * (number % 25) + 20, 50 * (number // 25) + 25))
        for number in range(500)
    )
    with Workspace.open(server.workspace) as workspace:
        image = next(import_dataset(workspace, folder, "grey").version.items())["image"]
        schema = Schema(
            (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(ClassInfo(name) for name in names)))
        )
        items = [
            Item("boxes", {"image": image, "objects": boxes}),
            Item("polygons", {"image": image, "objects": polygons}),
            Item("reviewed", {"image": image, "objects": ()}),
        ]
        workspace.datasets.write("crowd", schema, items, mode="create")
    return server


def circle(x: float, y: float) -> Polygon:
    """A circle of 200 points."""
    angles = [2 * math.pi * step / 200 for step in range(200)]
    return Polygon(((tuple((x + 15 * math.cos(angle), y + 15 * math.sin(angle)) for angle in angles),),))


def overlay_alpha(page: Page, x: float, y: float) -> int:
    """Return the opacity of what is drawn over a point of the fitted image, whose sides are 1,000 pixels."""
    alpha: int = page.evaluate(
        """([x, y]) => {
          const canvas = document.querySelector('canvas.overlay')
          if (!canvas) return 0
          const scale = (Math.min(canvas.width, canvas.height) - 24) / 1000
          const left = (canvas.width - 1000 * scale) / 2
          const top = (canvas.height - 1000 * scale) / 2
          return canvas.getContext('2d').getImageData(left + x * scale, top + y * scale, 1, 1).data[3]
        }""",
        [x, y],
    )
    return alpha


def click_image(page: Page, x: float, y: float) -> None:
    box = page.locator("canvas.overlay").bounding_box()
    assert box is not None
    scale = (min(box["width"], box["height"]) - 24) / 1000
    left = box["x"] + (box["width"] - 1000 * scale) / 2
    top = box["y"] + (box["height"] - 1000 * scale) / 2
    page.mouse.click(left + x * scale, top + y * scale)


def test_ten_thousand_objects(open_page: OpenPage, crowd: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets/crowd@1/item?key=boxes&index=0")
    expect(page.get_by_role("heading", name="Objects 10,000")).to_be_visible()
    until(lambda: overlay_alpha(page, 505, 505) > 0 and overlay_alpha(page, 995, 995) > 0)
    rows = page.locator(".object")
    assert 0 < rows.count() < 60
    take_screenshot(page, "many-objects-light-1440")
    before = overlay_alpha(page, 345, 675)
    click_image(page, 345, 675)
    selected = page.locator(".object[aria-pressed=true]")
    expect(selected).to_contain_text("#34670")
    until(lambda: overlay_alpha(page, 345, 675) > before)
    click_image(page, 5, 5)
    expect(selected).to_contain_text("#0")
    selected.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(selected).to_have_count(1)
    expect(selected).to_be_focused()
    page.keyboard.press("End")
    last_row = page.locator("[data-row='10003'] .object")
    expect(last_row).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-row='10002'] .object")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_role("button", name="Hide class: class 0")).to_be_focused()
    assert rows.count() < 60


def test_hidden_classes_of_many_objects(open_page: OpenPage, crowd: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets/crowd@1/item?key=boxes&index=0")
    until(lambda: overlay_alpha(page, 5, 5) > 0 and overlay_alpha(page, 15, 5) > 0)
    page.get_by_role("button", name="Hide class: class 0").click()
    until(lambda: overlay_alpha(page, 5, 5) == 0 and overlay_alpha(page, 15, 5) > 0)
    click_image(page, 5, 5)
    expect(page.locator(".object[aria-pressed=true]")).to_have_count(0)
    page.keyboard.press("+")
    page.keyboard.press("0")
    until(lambda: overlay_alpha(page, 5, 5) == 0 and overlay_alpha(page, 15, 5) > 0)
    page.keyboard.press("PageDown")
    until(lambda: overlay_alpha(page, 20, 25) > 0 or overlay_alpha(page, 60, 25) > 0)
    page.keyboard.press("PageDown")
    expect(page.get_by_text("Labelled: no objects")).to_be_visible()
    until(lambda: all(overlay_alpha(page, x, 505) == 0 for x in range(5, 1000, 10)))


def test_large_polygons(open_page: OpenPage, crowd: Server) -> None:
    page = open_page(Role.VIEWER, theme="dark", width=1024, path="/datasets/crowd@1/item?key=polygons")
    expect(page.get_by_role("heading", name="Objects 500")).to_be_visible()
    until(lambda: overlay_alpha(page, 20, 25) > 0 and overlay_alpha(page, 980, 975) > 0)
    assert overlay_alpha(page, 40, 50) == 0
    click_image(page, 980, 975)
    expect(page.locator(".object[aria-pressed=true]")).to_contain_text("#p499")
    take_screenshot(page, "polygons-dark-1024")


def test_a_missing_image_is_reported(open_page: OpenPage, crowd: Server) -> None:
    page = open_page(Role.VIEWER, path="/datasets")
    page.route("**/image?*", lambda route: route.abort())
    page.goto("/datasets/crowd/item?key=reviewed")
    expect(page.get_by_role("alert")).to_contain_text("The image cannot be shown")
