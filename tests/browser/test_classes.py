"""The classes of a dataset on the screen: what is staged, saved, undone, refused and only looked at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.conftest import ARTIFACTS, ON_POSTGRESQL, ON_SQLITE, Served, keep

from saccade.app.datasets.classes import change_classes, classes_of
from saccade.core.class_edits import AddClass, RenameClass
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]
HARM = '"><img src=x onerror="window.harmed=1">'
NAMES = [
    "car",
    "truck",
    "bus",
    "søppelbil",
    "自転車",
    HARM,
    "\u202edesrever",
    "a" * 150,
    *(f"sign {n}" for n in range(12)),
]


def written(served: Served, name: str, classes: list[str]) -> None:
    """A dataset with objects of some classes, the first of which are many."""
    items = [
        Item(
            f"i{number}",
            {
                "objects": tuple(
                    Object(str(at), one, Box(0, 0, 5, 5)) for at, one in enumerate(classes) if number % (at + 1) == 0
                ),
                "tags": ("night",) if number % 2 else ("day", "rain"),
            },
        )
        for number in range(12)
    ]
    infos = tuple(ClassInfo(one, "vehicle" if one in ("truck", "bus") else None) for one in classes)
    schema = Schema((Column("objects", Kind.OBJECTS, infos), Column("tags", Kind.LABELS)))
    with Workspace.open(served.folder) as workspace:
        if not workspace.datasets.exists(name):
            workspace.datasets.write(name, schema, items, mode="create")


def line(page: Page, name: str) -> Locator:
    """The row of a class."""
    return page.locator("tbody tr").filter(has=page.get_by_role("button", name=name, exact=True))


@contextmanager
def nobody_working(served: Served) -> Iterator[None]:
    """Hold the workers of a server where they are."""
    command = ["pgrep", "-f", f"saccade worker .*{served.folder}"]
    end = time.monotonic() + 60
    while not (found := subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()):
        assert time.monotonic() < end, "they begin some seconds after the server"
        time.sleep(0.1)
    for process in found:
        os.kill(int(process), signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            os.kill(int(process), signal.SIGCONT)


@ON_POSTGRESQL
def test_classes_are_changed_together(opened: Open, served: Served) -> None:
    written(served, "streets", NAMES)
    page = opened(Role.MANAGER, path="/datasets/streets/classes")
    expect(line(page, "car")).to_contain_text("12")
    expect(page.get_by_text("what you do is listed here")).to_be_visible()
    line(page, "car").get_by_role("button", name="car", exact=True).click()
    field = page.get_by_label("New name of car")
    field.fill("автомобиль")
    field.press("Enter")
    expect(line(page, "автомобиль")).to_contain_text("new name")
    page.get_by_label("Colour of bus").evaluate(
        "one => { one.value = '#12ab34'; one.dispatchEvent(new Event('change', { bubbles: true })) }"
    )
    page.get_by_role("button", name="What to do with sign 3", exact=True).click()
    page.get_by_text("Merge into another").click()
    page.get_by_role("combobox", name="Into").or_(page.get_by_label("Into")).first.fill("sign 2")
    page.get_by_role("option", name="sign 2", exact=True).click()
    keep(page, "classes-merge")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    page.get_by_role("button", name=f"What to do with {HARM}", exact=True).click()
    page.get_by_role("listitem").filter(has_text="Remove").or_(
        page.locator(".v-list-item", has_text="Remove")
    ).last.click()
    expect(page.get_by_role("dialog")).to_contain_text("Earlier versions keep them")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Add a class").click()
    page.get_by_label("Name of the new class").fill("tram")
    page.get_by_role("dialog").get_by_role("button", name="Add a class").click()
    staged = page.get_by_role("complementary", name="Not saved yet")
    expect(staged.get_by_role("listitem")).to_have_count(5)
    keep(page, "classes-staged-light-1440")
    page.get_by_role("tab", name="Versions").click()
    page.get_by_role("tab", name="Classes").click()
    expect(staged.get_by_role("listitem")).to_have_count(5)
    staged.get_by_role("button", name="Undo: Merge").click()
    expect(staged.get_by_role("listitem")).to_have_count(4)
    expect(line(page, "sign 3")).to_be_visible()
    staged.get_by_label("Why").fill("names as in the new guide")
    staged.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Made streets@2")).to_be_visible()
    expect(page.get_by_text("what you do is listed here")).to_be_visible()
    with Workspace.open(served.folder) as workspace:
        found = {one.name: one for one in classes_of(workspace.datasets.open("streets")) if one.column == "objects"}
        assert set(found) == {*NAMES, "автомобиль", "tram"} - {"car", HARM}
        assert (found["автомобиль"].objects, found["bus"].color) == (12, "#12ab34")
        assert workspace.datasets.open("streets").info.message == "names as in the new guide"
    assert page.evaluate("window.harmed") is None
    page.get_by_role("textbox", name="Find a class").fill("SIGN 1")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("textbox", name="Find a class").fill("nothing like it")
    expect(page.get_by_text("No class is called like this")).to_be_visible()
    page.get_by_role("textbox", name="Find a class").fill("")
    page.get_by_role("button", name="tags", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(line(page, "rain")).to_contain_text("6")


@ON_SQLITE
def test_the_second_of_two_is_told_and_loses_nothing(opened: Open, served: Served) -> None:
    written(served, "two", ["car", "truck", "bus"])
    page = opened(Role.OWNER, theme="dark", width=1024, path="/datasets/two/classes")
    page.get_by_role("button", name="truck", exact=True).click()
    page.get_by_label("New name of truck").fill("lorry")
    page.get_by_label("New name of truck").press("Enter")
    with Workspace.open(served.folder) as workspace:
        change_classes(workspace, "two", [AddClass(name="tram", column="objects")])
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("alert")).to_contain_text("Others made version 2 while you worked on version 1")
    expect(page.locator("tbody tr")).to_have_count(4)
    keep(page, "classes-second-dark-1024")
    page.get_by_role("button", name="Go on with version 2").click()
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Made two@3")).to_be_visible()
    with Workspace.open(served.folder) as workspace:
        assert workspace.datasets.open("two").schema["objects"].class_names == ("car", "lorry", "bus", "tram")


def test_a_view_that_was_kept_finds_a_renamed_class(opened: Open, served: Served) -> None:
    written(served, "viewed", ["car", "truck", "bus"])
    with Workspace.open(served.folder) as workspace:
        workspace.datasets.keep_view("viewed", "with a truck", {"classes": '["truck"]'})
        change_classes(workspace, "viewed", [RenameClass(name="truck", to="lorry")])
    page = opened(Role.VIEWER, path="/datasets/viewed")
    page.get_by_role("link", name="with a truck").click()
    expect(page.locator("[data-test=total]")).to_have_text(re.compile(r"^\s*6\s+of\s+12"))
    expect(page.get_by_role("button", name="lorry").first).to_have_attribute("aria-pressed", "true")
    keep(page, "items-view-renamed")


def test_a_name_that_is_taken_asks_to_merge(opened: Open, served: Served) -> None:
    written(served, "taken", ["car", "truck", "bus"])
    page = opened(Role.MANAGER, path="/datasets/taken/classes")
    page.get_by_role("button", name="truck", exact=True).press("Enter")
    page.get_by_label("New name of truck").fill("car")
    page.get_by_label("New name of truck").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("There is a class “car” already. Merge the two?")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("18")
    page.get_by_role("button", name="Discard all").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="bus", exact=True).press("Enter")
    page.get_by_label("New name of bus").fill("coach")
    page.get_by_label("New name of bus").press("Escape")
    expect(page.get_by_role("button", name="bus", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Save as a new version")).to_have_count(0)


def test_who_looks_changes_nothing(opened: Open, served: Served) -> None:
    written(served, "looked", ["car", "truck", "bus"])
    page = opened(Role.VIEWER, path="/datasets/looked/classes")
    expect(page.get_by_text("Only managers change classes")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)
    for what in (page.locator("input[type=color]"), page.get_by_role("button", name="Add a class"),
                 page.get_by_role("button", name=re.compile("What to do"))):  # fmt: skip
        expect(what).to_have_count(0)
    keep(page, "classes-viewer")
    page.get_by_role("link", name="Look at the items with truck").click()
    expect(page.locator("[data-test=total]")).to_contain_text("6 of 12")
    with Workspace.open(served.folder) as workspace:
        change_classes(workspace, "looked", [AddClass(name="tram")])
    manager = opened(Role.MANAGER, path="/datasets/looked@1/classes")
    expect(manager.get_by_text("Only the latest version can be changed")).to_be_visible()
    expect(manager.locator("input[type=color]")).to_have_count(0)


@ON_SQLITE
def test_a_change_of_many_items_is_watched_and_cancelled(opened: Open, served: Served) -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    items = [Item(f"{at:06}", {"label": "car" if at % 3 else "bus"}) for at in range(36_000)]
    with Workspace.open(served.folder) as workspace:
        workspace.datasets.write("motorway", schema, items, mode="create")
    page = opened(Role.MANAGER, path="/datasets/motorway/classes")
    line(page, "car").get_by_role("button", name="car", exact=True).click()
    field = page.get_by_label("New name of car")
    field.fill("saloon")
    field.press("Enter")
    save = page.get_by_role("button", name="Save as a new version")
    watched = page.locator("[data-test=changing]")
    with nobody_working(served):  # so that it cannot be done before it is cancelled
        save.click()
        expect(watched.get_by_text("Change the classes of motorway")).to_be_visible()
        watched.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Nothing was changed")).to_be_visible()
    expect(watched).to_be_hidden()
    expect(page.get_by_text("Rename “car” to “saloon”")).to_be_visible()
    save.click()
    expect(watched).to_be_visible()
    page.screenshot(path=ARTIFACTS / "classes-changing.png")
    expect(
        page.get_by_text("Nothing is changed yet")
    ).to_be_visible()  # the notice may be gone: a picture takes a while
    expect(watched).to_be_hidden()
    expect(line(page, "saloon")).to_contain_text("24,000")
    page.goto("/datasets/motorway")
    page.locator(".face").first.press("x")
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Name").fill("seen")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(watched.get_by_text("Tag items of motorway")).to_be_visible()
    watched.get_by_role("button", name="Go on in the background").click()
    expect(page.get_by_text("It goes on")).to_be_visible()
    expect(watched).to_be_hidden()
    page.goto("/jobs")
    done = page.get_by_role("row").filter(has_text="Tag items of motorway")
    expect(done.get_by_text("finished")).to_be_visible()
    with Workspace.open(served.folder) as workspace:
        versions = workspace.datasets.log("motorway")
        assert [(one.number, one.changed) for one in versions] == [(3, 36_000), (2, 24_000), (1, 0)]
        assert {one.author for one in versions[:2]} == {"Manager"}


@ON_SQLITE
def test_what_was_saved_stays_on_the_screen_while_the_next_version_is_read(opened: Open, served: Served) -> None:
    written(served, "ring-road", ["car", "truck"])
    page = opened(Role.MANAGER, path="/datasets/ring-road/classes")
    line(page, "car").get_by_role("button", name="car", exact=True).click()
    field = page.get_by_label("New name of car")
    field.fill("saloon")
    field.press("Enter")
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route(re.compile("ring-road(@|%40)2/classes"), hold)
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Nothing is changed yet")).to_be_visible()
    expect(page.get_by_text("Version 2")).to_be_visible()
    expect(line(page, "saloon")).to_contain_text("12")
    expect(line(page, "car")).to_have_count(0)
    for route in waiting:
        route.continue_()
    expect(page.get_by_text("new name")).to_have_count(0)
    expect(line(page, "saloon")).to_contain_text("12")
