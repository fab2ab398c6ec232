"""The labelling studio: drawing, undo, several people, and work that survives a lost server or session."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.conftest import (
    PASSWORD,
    OpenPage,
    Server,
    add_users,
    assert_accessible,
    start_server,
    stop_server,
    take_screenshot,
)

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
ITEM = "scene000_00"
_REQUEST = """async ({ method, path, body }) => {
    const { csrf_token: token } = await (await fetch('/api/v1/session')).json()
    const headers = { 'Content-Type': 'application/json', ...(token ? { 'X-CSRF-Token': token } : {}) }
    const response = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) })
    return { status: response.status, body: response.status === 204 ? null : await response.json() }
}"""


def create_workspace(folder: Path, pictures: Path) -> None:
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour")
        add_users(workspace, *Role)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Server]:
    """A server with the dataset ``harbour`` and a user for each role."""
    folder = tmp_path_factory.mktemp("labelling")
    create_workspace(folder, pictures)
    process, address = start_server(folder)
    yield Server(address, folder, pictures)
    stop_server(process)


def request(page: Page, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request as the user of a page. Returns the body of the response."""
    response = page.evaluate(_REQUEST, {"method": method, "path": path, "body": body})
    assert response["status"] < 400, response
    return response["body"]


def create_label_set(page: Page, name: str, start: str = "empty") -> None:
    body = {"name": name, "dataset": "harbour", "start": start}
    if start == "empty":
        body["column"] = "objects"
    request(page, "POST", "/label-sets", body)


def open_studio(page: Page, name: str, item: str = ITEM) -> None:
    page.evaluate("localStorage.setItem('saccade-labelling-guide', 'seen')")
    page.goto(f"/label-sets/{name}/label?item={item}")
    expect_loaded(page)


def expect_loaded(page: Page) -> None:
    expect(page.locator("[data-test=position]")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


def objects_of(page: Page, name: str, item: str = ITEM) -> list[dict[str, Any]]:
    """The objects of an item on the server."""
    return [obj for obj in request(page, "GET", f"/label-sets/{name}/item?key={item}")["objects"] if not obj["deleted"]]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the canvas between two points, given as shares of its width and height."""
    box = page.locator("[data-test=canvas]").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=6)
    page.mouse.up()


def draw_box(page: Page, start: tuple[float, float] = (0.4, 0.4), end: tuple[float, float] = (0.5, 0.55)) -> None:
    page.keyboard.press("r")
    drag(page, start, end)


def expect_objects(page: Page, count: int) -> None:
    expect(page.locator("[data-test=object-count]")).to_have_text(str(count))


def expect_saved(page: Page) -> None:
    expect(page.locator("[data-test=save-status]")).to_have_text("Saved")


def test_create_label_commit(open_page: OpenPage) -> None:
    """From the dataset to a new version, which has exactly what was drawn."""
    page = open_page(Role.OWNER, path="/label-sets")
    expect(page.get_by_text("No label sets yet")).to_be_visible()
    assert_accessible(page)
    page.goto("/datasets/harbour")
    page.get_by_role("button", name="Label", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value("harbour")
    dialog.get_by_label("Name").fill("berths")
    dialog.get_by_text("Empty images").click()
    take_screenshot(page, "label-set-new")
    dialog.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/label-sets/berths$"))
    expect(page.get_by_text("0 of 10 done")).to_be_visible()
    page.get_by_role("link", name=re.compile("labelling$")).last.click()
    expect(page.get_by_text("Draw your first box")).to_be_visible()
    take_screenshot(page, "studio-guide")
    page.get_by_role("button", name="Got it").click()

    draw_box(page)
    expect_objects(page, 1)
    page.locator("[data-object] .name").click()
    page.keyboard.press("2")
    expect_saved(page)
    first = objects_of(page, "berths")
    assert len(first) == 1
    names = {each["id"]: each["name"] for each in request(page, "GET", "/label-sets/berths")["classes"]}
    second_class = list(names)[1]
    expect(page.locator("[data-object] .name")).to_contain_text(names[second_class])
    assert first[0]["class"] == second_class
    take_screenshot(page, "studio-box")

    page.reload()
    expect_objects(page, 1)
    page.keyboard.press("Control+z")
    expect(page.locator("[data-object] .name")).not_to_contain_text(names[second_class])
    page.keyboard.press("Control+z")
    expect_objects(page, 0)
    expect_saved(page)
    page.reload()
    expect_loaded(page)
    expect_objects(page, 0)
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    expect_objects(page, 1)
    expect_saved(page)
    assert objects_of(page, "berths") == first

    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect_saved(page)
    page.get_by_role("button", name="Empty", exact=True).click()
    expect(page.get_by_role("button", name="Empty", exact=True)).to_have_attribute("aria-pressed", "true")
    expect_saved(page)
    page.get_by_role("button", name="Back to the label set").click()
    expect(page.get_by_text("2 of 10 done")).to_be_visible()
    take_screenshot(page, "label-set")
    page.get_by_role("button", name="Commit").click()
    page.get_by_label("Message").fill("First berths")
    take_screenshot(page, "label-set-commit")
    page.get_by_role("dialog").get_by_role("button", name="Commit").click()
    expect(page.get_by_text(re.compile("Created harbour@2"))).to_be_visible()
    expect(page.get_by_text("Everything is committed")).to_be_visible()
    committed = request(page, "GET", f"/datasets/harbour@2/item?key={ITEM}")["values"]["objects"]
    assert [obj["geometry"] for obj in committed] == [first[0]["geometry"]]
    assert [obj["class"] for obj in committed] == [names[second_class]]


def test_a_digit_is_for_the_next_object_or_a_selection(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "digits")
    open_studio(page, "digits")
    classes = [each["id"] for each in request(page, "GET", "/label-sets/digits")["classes"]]
    draw_box(page)
    expect_objects(page, 1)
    page.keyboard.press("2")
    draw_box(page, (0.6, 0.4), (0.7, 0.55))
    expect_objects(page, 2)
    expect_saved(page)
    assert [obj["class"] for obj in objects_of(page, "digits")] == classes[:2]
    page.locator("[data-object] .name").nth(1).click()
    page.keyboard.press("1")
    expect_saved(page)
    page.locator("[data-object] .name").nth(0).click()
    page.keyboard.press("2")
    expect_saved(page)
    expect(page.locator("[data-object] .name").first).to_contain_text(
        request(page, "GET", "/label-sets/digits")["classes"][1]["name"]
    )
    assert [obj["class"] for obj in objects_of(page, "digits")] == [classes[1], classes[0]]


def item_in_address(page: Page) -> str:
    return str(page.evaluate("new URLSearchParams(location.search).get('item')"))


def test_every_press_counts_and_nothing_is_drawn_blindly(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "quick")
    open_studio(page, "quick")
    keys = [item["key"] for item in request(page, "GET", "/label-sets/quick/items?limit=10")["items"]]
    for _ in range(7):
        page.keyboard.press("f")
    expect(page.get_by_text("8 of 10")).to_be_visible()
    for _ in range(2):
        page.keyboard.press("d")
    expect(page.get_by_text("6 of 10")).to_be_visible()
    expect_loaded(page)
    assert item_in_address(page) == keys[5]

    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/history*", hold)
    page.keyboard.press("f")
    expect(page.locator("[data-test=loading]")).to_be_visible()
    draw_box(page)
    expect(page.get_by_text("The item is loading.")).to_be_visible()
    assert item_in_address(page) == keys[5]
    for route in waiting:
        route.continue_()
    page.unroute("**/history*")
    expect(page.get_by_text("7 of 10")).to_be_visible()
    expect_loaded(page)
    expect(page.get_by_text("The item is loading.")).to_have_count(0)
    draw_box(page)
    expect_saved(page)
    counts = [len(objects_of(page, "quick", key)) for key in keys]
    assert counts == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_an_unfinished_shape_is_not_lost_at_the_next_item(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "unfinished")
    open_studio(page, "unfinished")
    box = page.locator("[data-test=canvas]").bounding_box()
    assert box is not None
    corners = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.4, 0.4), (0.5, 0.4), (0.5, 0.5))
    ]
    page.keyboard.press("p")
    for corner in corners[:2]:
        page.mouse.click(*corner)
    page.keyboard.press("f")
    expect(page.locator(".hint")).to_have_text("A polygon needs at least three points.")
    expect(page.get_by_text("1 of 10")).to_be_visible()
    page.mouse.click(*corners[2])
    page.keyboard.press("f")
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect_saved(page)
    assert [obj["geometry"]["type"] for obj in objects_of(page, "unfinished")] == ["polygon"]


def test_the_next_item_waits_for_the_connection(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "away")
    open_studio(page, "away")
    canvas = page.locator("[data-test=canvas]")
    size = canvas.bounding_box()
    page.context.set_offline(True)
    page.keyboard.press("f")
    expect(page.locator("[data-test=not-loaded]")).to_be_visible()
    assert canvas.bounding_box() == size
    assert item_in_address(page) == ITEM
    expect(page.get_by_role("heading", name=ITEM)).to_be_visible()
    take_screenshot(page, "studio-not-loaded")
    page.context.set_offline(False)
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect(page.locator("[data-test=not-loaded]")).to_have_count(0)
    expect(page.get_by_role("heading", name="scene001_00")).to_be_visible()
    expect(page).to_have_url(re.compile("item=scene001_00"))


def test_done_without_objects_is_empty_and_can_be_undone(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "bare")
    open_studio(page, "bare")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("2 of 10")).to_be_visible()
    toast = page.locator("[data-test=marked-empty]")
    expect(toast).to_contain_text("Marked as empty")
    take_screenshot(page, "studio-marked-empty")
    expect_saved(page)
    assert request(page, "GET", f"/label-sets/bare/item?key={ITEM}")["state"] == "empty"
    toast.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 of 10")).to_be_visible()
    expect(page.get_by_text("Marked as empty").filter(visible=True)).to_have_count(0)
    expect_saved(page)
    assert request(page, "GET", f"/label-sets/bare/item?key={ITEM}")["state"] == "unlabelled"


def test_the_guide_leaves_the_image_free(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "guided")
    page.goto(f"/label-sets/guided/label?item={ITEM}")
    expect_loaded(page)
    guide = page.get_by_role("region", name="Draw your first box")
    expect(guide).to_be_visible()
    card, canvas = guide.bounding_box(), page.locator("[data-test=canvas]").bounding_box()
    assert card is not None
    assert canvas is not None
    assert card["width"] * card["height"] < 0.15 * canvas["width"] * canvas["height"]
    x = (card["x"] + 20 - canvas["x"]) / canvas["width"]
    y = (card["y"] + 20 - canvas["y"]) / canvas["height"]
    draw_box(page, (x, y), (x - 0.3, y + 0.3))
    expect_objects(page, 1)
    expect(guide).to_have_count(0)


def test_keypoint_names_with_commas(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "points")
    first = request(page, "GET", "/label-sets/points")["classes"][0]["name"]
    open_studio(page, "points")
    page.keyboard.press("Shift+K")
    expect(page.locator(".hint")).to_have_text(f"{first} has no keypoints; add them in Classes.")
    page.get_by_role("button", name="Add class").click()
    dialog = page.get_by_role("dialog", name="Add class")
    dialog.get_by_label("Name", exact=True).fill("person")
    dialog.get_by_role("combobox", name="Keypoints").last.fill("nose, left eye,right eye")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".hint")).to_have_count(0)
    classes = request(page, "GET", "/label-sets/points")["classes"]
    assert [each["keypoints"] for each in classes if each["name"] == "person"] == [["nose", "left eye", "right eye"]]


def test_a_deleted_class_and_a_removed_set(open_page: OpenPage) -> None:
    page = open_page(Role.ANNOTATOR)
    owner = open_page(Role.OWNER)
    create_label_set(owner, "vanished")
    open_studio(page, "vanished")
    labelled = request(owner, "GET", "/label-sets/vanished")["classes"][0]
    class_id = labelled.pop("id")
    draw_box(page)
    expect_saved(page)
    request(owner, "PUT", f"/label-sets/vanished/classes/{class_id}", {**labelled, "deleted": True})
    notice = f"The class {labelled['name']} was deleted."
    expect(page.locator(".hint")).to_contain_text(notice)
    draw_box(page, (0.6, 0.4), (0.7, 0.55))
    expect_objects(page, 1)
    take_screenshot(page, "studio-class-deleted")
    page.keyboard.press("2")
    draw_box(page, (0.6, 0.4), (0.7, 0.55))
    expect_objects(page, 2)
    expect(page.locator(".hint")).to_have_count(0)
    expect_saved(page)
    request(owner, "DELETE", "/label-sets/vanished?force=true")
    draw_box(page, (0.2, 0.4), (0.3, 0.55))
    expect(page.get_by_text("This label set was removed")).to_be_visible()
    expect(page.locator("[data-test=canvas]")).not_to_be_visible()
    take_screenshot(page, "studio-removed")
    page.get_by_role("link", name="Back to Label sets").click()
    expect(page).to_have_url(re.compile("/label-sets$"))


def test_two_people_see_each_other(open_page: OpenPage) -> None:
    owner = open_page(Role.OWNER)
    create_label_set(owner, "together", "labels")
    open_studio(owner, "together")
    annotator = open_page(Role.ANNOTATOR)
    open_studio(annotator, "together")
    before = len(objects_of(owner, "together"))
    draw_box(annotator)
    expect_objects(annotator, before + 1)
    expect_objects(owner, before + 1)
    expect(owner.get_by_role("img", name="Annotator")).to_be_visible()
    take_screenshot(owner, "studio-together")
    annotator.keyboard.press("Delete")
    expect_objects(owner, before)


def test_an_overwritten_change_can_be_brought_back(open_page: OpenPage) -> None:
    owner = open_page(Role.OWNER)
    create_label_set(owner, "overwritten", "labels")
    open_studio(owner, "overwritten")
    annotator = open_page(Role.ANNOTATOR)
    open_studio(annotator, "overwritten")
    annotator.route("**/events*", lambda route: route.abort())  # this page does not hear of the owner's change
    annotator.reload()
    for page in (owner, annotator):
        page.locator("[data-object] .name").first.click()
    x = owner.locator("[data-test=selection]").get_by_label("X", exact=True)
    x.fill("30")
    x.press("Enter")
    expect_saved(owner)
    other = annotator.locator("[data-test=selection]").get_by_label("X", exact=True)
    other.fill("50")
    other.press("Enter")
    expect_saved(annotator)
    expect(owner.locator("[data-test=clash]")).to_contain_text("Changed by Annotator")
    expect(x).to_have_value("50.00")
    take_screenshot(owner, "studio-clash")
    owner.get_by_role("button", name="Keep mine").click()
    expect(x).to_have_value("30.00")
    expect_saved(owner)
    assert 30 in [obj["geometry"]["x1"] for obj in objects_of(owner, "overwritten")]


def test_by_keyboard_only(open_page: OpenPage) -> None:
    page = open_page(Role.ANNOTATOR)
    create_label_set(open_page(Role.OWNER), "keyboard", "labels")
    open_studio(page, "keyboard")
    before = objects_of(page, "keyboard")
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("Tab")
    expect(page.locator("[data-test=canvas]")).to_be_focused()
    expect(page.locator("[data-test=announcement]")).to_contain_text("selected")
    x = page.locator("[data-test=selection]").get_by_label("X", exact=True)
    start = float(x.input_value())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(x).to_have_value(f"{start + 11:.2f}")
    page.keyboard.press("Control+z")
    expect(x).to_have_value(f"{start + 1:.2f}")
    page.keyboard.press("Delete")
    expect_objects(page, len(before) - 1)
    expect_saved(page)
    assert len(objects_of(page, "keyboard")) == len(before) - 1
    for key in ("Escape", "r", "ArrowRight", "Enter", *["ArrowRight"] * 6, *["ArrowDown"] * 6, "Enter"):
        page.keyboard.press(key)
    expect_objects(page, len(before))
    take_screenshot(page, "studio-drawn-by-keyboard")
    page.keyboard.press("F1")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    take_screenshot(page, "studio-keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("[data-test=canvas]").focus()
    for _ in range(len(before) + 1):
        page.keyboard.press("Tab")
    expect(page.locator("[data-test=canvas]")).not_to_be_focused()


def test_sign_in_in_place_after_the_session_has_ended(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    create_label_set(page, "expired")
    open_studio(page, "expired")
    draw_box(page)
    expect_saved(page)
    page.context.clear_cookies()
    draw_box(page, (0.6, 0.5), (0.7, 0.6))
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    expect(page.locator("[data-test=save-status]")).to_have_text("Signed out: 1 edit waiting")
    expect_objects(page, 2)
    take_screenshot(page, "studio-signed-out")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    expect_saved(page)
    assert len(objects_of(page, "expired")) == 2


def test_a_refused_edit_is_kept(open_page: OpenPage) -> None:
    """The class of a new object is deleted meanwhile: the object is parked, and saved once the class is back."""
    page = open_page(Role.ANNOTATOR)
    owner = open_page(Role.OWNER)
    create_label_set(owner, "refused")
    open_studio(page, "refused")
    labelled = request(owner, "GET", "/label-sets/refused")["classes"][0]
    class_id = labelled.pop("id")
    page.route("**/edits", lambda route: route.abort())
    draw_box(page)
    expect(page.locator("[data-test=save-status]")).to_contain_text("Offline: 1 edit waiting")
    take_screenshot(page, "studio-offline")
    request(owner, "PUT", f"/label-sets/refused/classes/{class_id}", {**labelled, "deleted": True})
    page.unroute("**/edits")
    expect(page.locator("[data-test=save-status]")).to_have_text("1 edit not saved")
    page.locator("[data-test=save-status]").click()
    dialog = page.get_by_role("dialog", name="Not saved")
    expect(dialog).to_contain_text("New object")
    take_screenshot(page, "studio-not-saved")
    expect(page.locator("[data-object]").get_by_label("Not saved")).to_have_count(1)
    request(owner, "PUT", f"/label-sets/refused/classes/{class_id}", {**labelled, "deleted": False})
    dialog.get_by_role("button", name="Try again").click()
    expect_saved(page)
    assert len(objects_of(page, "refused")) == 1


def test_a_viewer_can_only_look(open_page: OpenPage) -> None:
    create_label_set(open_page(Role.OWNER), "viewed", "labels")
    page = open_page(Role.VIEWER)
    open_studio(page, "viewed")
    before = objects_of(page, "viewed")
    expect(page.locator("[data-test=view-only]")).to_be_visible()
    expect(page.get_by_role("toolbar", name="Tools")).to_have_count(0)
    for name in ("Done", "Skip", "Undo"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    page.locator("[data-object] .name").first.click()
    expect(page.locator("[data-test=selection]").get_by_label("X", exact=True)).to_be_disabled()
    draw_box(page)
    page.keyboard.press("Delete")
    drag(page, (0.3, 0.3), (0.6, 0.6))
    expect_objects(page, len(before))
    take_screenshot(page, "studio-viewer")
    assert objects_of(page, "viewed") == before


def test_edits_survive_a_killed_server(browser: Browser, tmp_path: Path, pictures: Path) -> None:
    """Edits that were not sent when the server and then the page went away are sent by the next page."""
    folder = tmp_path / "workspace"
    create_workspace(folder, pictures)
    process, address = start_server(folder)
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    processes: list[subprocess.Popen[str]] = [process]
    try:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("E-mail").fill("owner@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        create_label_set(page, "killed")
        open_studio(page, "killed")
        draw_box(page)
        expect_saved(page)
        process.kill()
        process.communicate()  # waits, and closes its pipes
        for number in range(3):
            draw_box(page, (0.1 + 0.2 * number, 0.6), (0.2 + 0.2 * number, 0.7))
        expect_objects(page, 4)
        expect(page.locator("[data-test=save-status]")).to_contain_text(re.compile("Offline: [3-9] edits waiting"))
        page.close()
        restarted, _ = start_server(folder, "--port", str(urlsplit(address).port))
        processes.append(restarted)
        page = context.new_page()
        page.goto(f"/label-sets/killed/label?item={ITEM}")
        expect_objects(page, 4)
        expect_saved(page)
        assert len(objects_of(page, "killed")) == 4
    finally:
        context.close()
        stop_server(processes[-1])
