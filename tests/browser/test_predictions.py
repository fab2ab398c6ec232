"""The labelling studio: a model's predictions are accepted, corrected, rejected and committed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import OpenPage, Server, assert_accessible, start_server, stop_server, take_screenshot
from tests.browser.test_labelling import create_workspace, expect_objects, expect_saved, open_studio, request

from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
SCORES = (0.95, 0.8, 0.6, 0.4, 0.2)
KEYS = ("scene000_00", "scene001_00", "scene002_00", "scene003_00", "scene004_00")


def predictions() -> tuple[Object, ...]:
    """Return five predictions beside each other, the last one with a score below the threshold of the dialog."""
    boxes = [Box(20 + 55 * number, 60, 65 + 55 * number, 120) for number in range(len(SCORES))]
    classes = ("unknown", "ship", "unknown", "ship", "unknown")
    return tuple(
        Object(f"p{number}", class_name, box, score)
        for number, (class_name, box, score) in enumerate(zip(classes, boxes, SCORES, strict=True))
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Server]:
    """A server with the dataset ``harbour``, predictions of a model for five of its ten items, and users."""
    folder = tmp_path_factory.mktemp("predictions")
    create_workspace(folder, pictures)
    with Workspace.open(folder) as workspace:
        workspace.models.add("ships", files={"weights": b"x"}, manifest={}, metrics={}, inputs=["harbour@1"])
        schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("ship"), ClassInfo("unknown"))),))
        items = [Item(key, {"objects": predictions()}) for key in KEYS]
        inputs = ["model:ships@1", "harbour@1"]
        workspace.datasets.write("harbour-pred", schema, items, mode="create", inputs=inputs)
    process, address = start_server(folder)
    yield Server(address, folder, pictures)
    stop_server(process)


def create_label_set(page: Page, name: str) -> None:
    body = {"name": name, "dataset": "harbour@1", "column": "checked", "start": "predictions", "min_score": 0.3}
    request(page, "POST", "/label-sets", body | {"predictions": "harbour-pred@1"})


def decisions(page: Page, name: str, item: str) -> dict[str, bool]:
    """The objects of an item on the server, and whether they are accepted."""
    objects = request(page, "GET", f"/label-sets/{name}/item?key={item}")["objects"]
    return {obj["id"]: obj["accepted"] for obj in objects}


def expect_to_check(page: Page, count: int) -> None:
    texts = {0: "No predictions to check", 1: "1 prediction to check"}
    expect(page.locator("[data-test=prediction-count]")).to_have_text(texts.get(count, f"{count} predictions to check"))


def slider(page: Page) -> Locator:
    return page.locator("[data-test=confidence]").get_by_role("slider")


def set_threshold(page: Page, score: float) -> None:
    """Move the confidence threshold by keys."""
    slider(page).focus()
    for _ in range(200):
        current = float(slider(page).get_attribute("aria-valuenow") or 0)
        if abs(current - score) < 0.001:
            return
        page.keyboard.press("ArrowRight" if current < score else "ArrowLeft")
    raise AssertionError(f"the threshold {score} was not reached")


def committed(page: Page, version: str, item: str) -> Any:
    return request(page, "GET", f"/datasets/{version}/item?key={item}")["values"]["checked"]


def test_correct_predictions(open_page: OpenPage) -> None:
    """From predictions to a version that has exactly what was accepted."""
    page = open_page(Role.OWNER, path="/datasets/harbour")
    page.get_by_role("button", name="Label", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value("harbour")
    dialog.get_by_text("Predictions of a model").click()
    expect(dialog.get_by_text("harbour-pred")).to_be_visible()
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".v-alert")).to_contain_text("have labels in the column 'objects'")
    dialog.get_by_role("combobox", name="Column").fill("checked")
    dialog.get_by_label("Name").fill("checks")
    take_screenshot(page, "predictions-dialog")
    dialog.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/label-sets/checks$"))
    expect(page.get_by_text("Predictions: harbour-pred@1 of ships@1, from 0.30")).to_be_visible()
    expect(page.get_by_text("0 of 10 done")).to_be_visible()
    take_screenshot(page, "predictions-label-set")

    open_studio(page, "checks", KEYS[0])
    expect_to_check(page, 4)
    expect_objects(page, 4)
    expect(page.get_by_text("Score 0.95 · Predicted by ships@1")).to_be_visible()
    assert_accessible(page)
    take_screenshot(page, "predictions-studio")

    # The threshold only hides.
    set_threshold(page, 0.5)
    expect_to_check(page, 3)
    expect_objects(page, 3)
    expect(page.get_by_text("1 prediction below the threshold, hidden")).to_be_visible()
    assert request(page, "GET", "/label-sets/checks")["seq"] == 0

    # Enter accepts, Del rejects, and both go on to the next one.
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("Enter")
    expect_to_check(page, 2)
    expect(page.get_by_text("Score 0.80")).to_be_visible()
    page.keyboard.press("Delete")
    expect_to_check(page, 1)
    expect(page.get_by_text("Score 0.60")).to_be_visible()
    take_screenshot(page, "predictions-decided")
    expect_saved(page)
    assert decisions(page, "checks", KEYS[0]) == {"p0": True, "p2": False, "p3": False}
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect_to_check(page, 3)
    expect_saved(page)
    assert not any(decisions(page, "checks", KEYS[0]).values())
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+y")
    expect_to_check(page, 1)

    # All visible ones in one step of undo, also after a reload, which shows the hidden one again.
    page.keyboard.press("Shift+Enter")
    expect_to_check(page, 0)
    expect_saved(page)
    page.reload()
    expect_to_check(page, 1)
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("Control+z")
    expect_to_check(page, 2)
    page.keyboard.press("Control+Shift+z")
    set_threshold(page, 0.5)
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("Control+Enter")

    # Tab goes through the predictions. Done accepts what is visible.
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect_to_check(page, 3)
    page.locator("[data-test=canvas]").focus()
    expect(page.get_by_text("Score 0.95")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Score 0.80")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_text("Score 0.95")).to_be_visible()
    page.keyboard.press("Control+Enter")

    # Empty rejects everything.
    expect(page.get_by_text("3 of 10")).to_be_visible()
    expect_to_check(page, 3)
    page.get_by_role("button", name="Empty", exact=True).click()
    expect_objects(page, 0)
    expect_saved(page)
    page.keyboard.press("f")

    # A correction accepts; the others stay undecided.
    expect(page.get_by_text("4 of 10")).to_be_visible()
    expect_to_check(page, 3)
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("ArrowRight")
    expect_to_check(page, 2)
    expect_saved(page)
    assert decisions(page, "checks", KEYS[3]) == {"p0": True, "p1": False, "p2": False, "p3": False}

    page.get_by_role("button", name="Back to the label set").click()
    expect(page.get_by_text("3 of 10 done")).to_be_visible()
    page.get_by_role("button", name="Commit").click()
    page.get_by_role("dialog").get_by_role("button", name="Commit").click()
    expect(page.get_by_text(re.compile("Created harbour@2"))).to_be_visible()
    first = committed(page, "harbour@2", KEYS[0])
    values = [(obj["id"], obj["class"], obj["score"]) for obj in first]
    assert values == [("p0", "unknown", 0.95), ("p2", "unknown", 0.6)]
    assert first[0]["geometry"] == {"type": "box", "x1": 20, "y1": 60, "x2": 65, "y2": 120}
    assert [obj["id"] for obj in committed(page, "harbour@2", KEYS[1])] == ["p0", "p1", "p2"]
    assert committed(page, "harbour@2", KEYS[2]) == []
    (corrected,) = committed(page, "harbour@2", KEYS[3])
    assert corrected["geometry"] == {"type": "box", "x1": 21, "y1": 60, "x2": 66, "y2": 120}
    assert committed(page, "harbour@2", KEYS[4]) is None


def test_two_people_and_a_viewer(open_page: OpenPage) -> None:
    """A decision appears at once in the other person's studio; a viewer sees predictions and cannot decide."""
    anna = open_page(Role.OWNER)
    create_label_set(anna, "shared")
    ben = open_page(Role.ANNOTATOR)
    viewer = open_page(Role.VIEWER)
    for page in (anna, ben, viewer):
        open_studio(page, "shared", KEYS[0])
        expect_to_check(page, 4)
    anna.get_by_role("button", name="Accept", exact=True).click()
    for page in (anna, ben, viewer):
        expect_to_check(page, 3)
    ben.get_by_role("button", name="Accept all").click()
    for page in (anna, ben, viewer):
        expect_to_check(page, 0)
    expect(viewer.get_by_role("button", name="Accept")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_layout(open_page: OpenPage, theme: str, width: int) -> None:
    page = open_page(Role.OWNER, theme=theme, width=width)
    name = f"layout-{theme}-{width}"
    create_label_set(page, name)
    open_studio(page, name, KEYS[0])
    expect_to_check(page, 4)
    page.locator("[data-test=canvas]").focus()
    page.keyboard.press("Enter")
    expect_to_check(page, 3)
    assert_accessible(page)
    take_screenshot(page, f"predictions-{theme}-{width}")
    if width > 1000:
        page.keyboard.press("F1")
        expect(page.get_by_text("Accept all visible")).to_be_visible()
        take_screenshot(page, f"predictions-keys-{theme}-{width}")
