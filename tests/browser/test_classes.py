"""Editing the classes of a dataset in the browser: pending edits, saving, undo, conflicts, and read-only access."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.conftest import ON_POSTGRESQL, ON_SQLITE, SCREENSHOTS, OpenPage, Server, take_screenshot

from saccade.app.datasets.classes import edit_classes, list_classes
from saccade.core.class_edits import AddClass, RenameClass
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
HTML = '"><img src=x onerror="window.harmed=1">'
NAMES = [
    "car",
    "truck",
    "bus",
    "søppelbil",
    "自転車",
    HTML,
    "\u202edesrever",
    "a" * 150,
    *(f"sign {number}" for number in range(12)),
]


def create_dataset(server: Server, name: str, classes: list[str]) -> None:
    """Create a dataset of twelve items with objects: class number n occurs in every n-th item."""
    items = [
        Item(
            f"i{number}",
            {
                "objects": tuple(
                    Object(str(index), class_name, Box(0, 0, 5, 5))
                    for index, class_name in enumerate(classes)
                    if number % (index + 1) == 0
                ),
                "tags": ("night",) if number % 2 else ("day", "rain"),
            },
        )
        for number in range(12)
    ]
    infos = tuple(
        ClassInfo(class_name, "vehicle" if class_name in ("truck", "bus") else None) for class_name in classes
    )
    schema = Schema((Column("objects", Kind.OBJECTS, infos), Column("tags", Kind.LABELS)))
    with Workspace.open(server.workspace) as workspace:
        if not workspace.datasets.exists(name):
            workspace.datasets.write(name, schema, items, mode="create")


def class_row(page: Page, name: str) -> Locator:
    """Return the table row of a class."""
    return page.locator("tbody tr").filter(has=page.get_by_role("button", name=name, exact=True))


def rename_class(page: Page, name: str, new_name: str, key: str = "Enter") -> None:
    """Rename a class in place; ``key`` is the key that ends the input."""
    page.get_by_role("button", name=name, exact=True).press("Enter")
    field = page.get_by_label(f"New name of {name}")
    field.fill(new_name)
    field.press(key)


@contextmanager
def workers_paused(server: Server) -> Iterator[None]:
    """Pause the workers of a server."""
    command = ["pgrep", "-f", f"saccade worker .*{server.workspace}"]
    deadline = time.monotonic() + 60
    while not (pids := subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()):
        assert time.monotonic() < deadline, "the workers start some seconds after the server"
        time.sleep(0.1)
    for pid in pids:
        os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(int(pid), signal.SIGCONT)


@ON_POSTGRESQL
def test_edit_classes_and_save_them_together(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "streets", NAMES)
    page = open_page(Role.MANAGER, path="/datasets/streets/classes")
    expect(class_row(page, "car")).to_contain_text("12")
    hint = page.get_by_text("Your changes are listed here")
    expect(hint).to_be_visible()
    rename_class(page, "car", "автомобиль")
    expect(class_row(page, "автомобиль")).to_contain_text("renamed")
    page.get_by_label("Colour of bus").evaluate(
        "input => { input.value = '#12ab34'; input.dispatchEvent(new Event('change', { bubbles: true })) }"
    )
    page.get_by_role("button", name="Actions for sign 3", exact=True).click()
    page.get_by_text("Merge into another class").click()
    page.get_by_role("combobox", name="Target class").or_(page.get_by_label("Target class")).first.fill("sign 2")
    page.get_by_role("option", name="sign 2", exact=True).click()
    take_screenshot(page, "classes-merge")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    page.get_by_role("button", name=f"Actions for {HTML}", exact=True).click()
    page.get_by_role("listitem").filter(has_text="Delete class").or_(
        page.locator(".v-list-item", has_text="Delete class")
    ).last.click()
    expect(page.get_by_role("dialog")).to_contain_text("Earlier versions keep them")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Add class").click()
    page.get_by_label("Class name").fill("tram")
    page.get_by_role("dialog").get_by_role("button", name="Add class").click()
    pending = page.get_by_role("complementary", name="Unsaved changes")
    expect(pending.get_by_role("listitem")).to_have_count(5)
    take_screenshot(page, "classes-pending-light-1440")
    page.get_by_role("tab", name="Versions").click()
    page.get_by_role("tab", name="Classes").click()
    expect(pending.get_by_role("listitem")).to_have_count(5)
    pending.get_by_role("button", name="Undo: Merge").click()
    expect(pending.get_by_role("listitem")).to_have_count(4)
    expect(class_row(page, "sign 3")).to_be_visible()
    pending.get_by_label("Message").fill("names as in the new guide")
    pending.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("Created streets@2")).to_be_visible()
    expect(hint).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        version = workspace.datasets.open("streets")
        classes = {info.name: info for info in list_classes(version) if info.column == "objects"}
        assert set(classes) == {*NAMES, "автомобиль", "tram"} - {"car", HTML}
        assert classes["автомобиль"].objects == 12
        assert classes["bus"].color == "#12ab34"
        assert version.info.message == "names as in the new guide"
    assert page.evaluate("window.harmed") is None
    search = page.get_by_role("textbox", name="Search classes")
    search.fill("SIGN 1")
    expect(page.locator("tbody tr")).to_have_count(3)
    search.fill("nothing like it")
    expect(page.get_by_text("No matching classes")).to_be_visible()
    search.fill("")
    page.get_by_role("button", name="tags", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(class_row(page, "rain")).to_contain_text("6")


@ON_SQLITE
def test_stale_edits_are_kept_and_rebased(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "two", ["car", "truck", "bus"])
    page = open_page(Role.OWNER, theme="dark", width=1024, path="/datasets/two/classes")
    rename_class(page, "truck", "lorry")
    with Workspace.open(server.workspace) as workspace:
        edit_classes(workspace, "two", [AddClass(name="tram", column="objects")])
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_role("alert")).to_contain_text("Version 2 was created while you edited version 1")
    expect(page.locator("tbody tr")).to_have_count(4)
    take_screenshot(page, "classes-stale-dark-1024")
    page.get_by_role("button", name="Continue with version 2").click()
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("Created two@3")).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        assert workspace.datasets.open("two").schema["objects"].class_names == ("car", "lorry", "bus", "tram")


def test_saved_view_follows_a_renamed_class(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "viewed", ["car", "truck", "bus"])
    with Workspace.open(server.workspace) as workspace:
        workspace.datasets.save_view("viewed", "with a truck", {"classes": '["truck"]'})
        edit_classes(workspace, "viewed", [RenameClass(name="truck", new_name="lorry")])
    page = open_page(Role.VIEWER, path="/datasets/viewed")
    page.get_by_role("link", name="with a truck").click()
    expect(page.locator("[data-test=total]")).to_have_text(re.compile(r"^\s*6\s+of\s+12"))
    expect(page.get_by_role("button", name="lorry").first).to_have_attribute("aria-pressed", "true")
    take_screenshot(page, "items-view-renamed")


def test_renaming_to_an_existing_class_offers_to_merge(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "taken", ["car", "truck", "bus"])
    page = open_page(Role.MANAGER, path="/datasets/taken/classes")
    rename_class(page, "truck", "car")
    expect(page.get_by_role("dialog")).to_contain_text("The class “car” already exists. Merge the two classes?")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("18")
    page.get_by_role("button", name="Discard all").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    rename_class(page, "bus", "coach", key="Escape")
    expect(page.get_by_role("button", name="bus", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Save as new version")).to_have_count(0)


def test_classes_are_read_only_for_viewers_and_older_versions(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "looked", ["car", "truck", "bus"])
    page = open_page(Role.VIEWER, path="/datasets/looked/classes")
    expect(page.get_by_text("Only managers can edit classes")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)
    for control in (
        page.locator("input[type=color]"),
        page.get_by_role("button", name="Add class"),
        page.get_by_role("button", name=re.compile("Actions for")),
    ):
        expect(control).to_have_count(0)
    take_screenshot(page, "classes-viewer")
    page.get_by_role("link", name="View items with truck").click()
    expect(page.locator("[data-test=total]")).to_contain_text("6 of 12")
    with Workspace.open(server.workspace) as workspace:
        edit_classes(workspace, "looked", [AddClass(name="tram")])
    manager = open_page(Role.MANAGER, path="/datasets/looked@1/classes")
    expect(manager.get_by_text("This version is read-only. Create a branch to change it.")).to_be_visible()
    expect(manager.locator("input[type=color]")).to_have_count(0)


@ON_SQLITE
def test_large_edit_shows_progress_and_can_be_cancelled(open_page: OpenPage, server: Server) -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    items = [Item(f"{number:06}", {"label": "car" if number % 3 else "bus"}) for number in range(36_000)]
    with Workspace.open(server.workspace) as workspace:
        workspace.datasets.write("motorway", schema, items, mode="create")
    page = open_page(Role.MANAGER, path="/datasets/motorway/classes")
    rename_class(page, "car", "saloon")
    save = page.get_by_role("button", name="Save as new version")
    progress = page.locator("[data-test=job-progress]")
    with workers_paused(server):  # otherwise the job might finish before it is cancelled
        save.click()
        expect(progress.get_by_text("Edit the classes of motorway")).to_be_visible()
        progress.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Nothing was changed")).to_be_visible()
    expect(progress).to_be_hidden()
    expect(page.get_by_text("Rename “car” to “saloon”")).to_be_visible()
    save.click()
    expect(progress).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "classes-saving.png")
    # Not the toast: it may be gone again, since a screenshot takes a while.
    expect(page.get_by_text("No unsaved changes")).to_be_visible()
    expect(progress).to_be_hidden()
    expect(class_row(page, "saloon")).to_contain_text("24,000")
    page.goto("/datasets/motorway")
    page.locator(".thumbnail").first.press("x")
    page.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Add tag", exact=True).click()
    page.get_by_label("Tag name").fill("seen")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(progress.get_by_text("Tag items of motorway")).to_be_visible()
    progress.get_by_role("button", name="Continue in background").click()
    expect(page.get_by_text("continues in the background")).to_be_visible()
    expect(progress).to_be_hidden()
    page.goto("/jobs")
    job = page.get_by_role("row").filter(has_text="Tag items of motorway")
    expect(job.get_by_text("Finished")).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        versions = workspace.datasets.log("motorway")
        assert [(version.number, version.changed) for version in versions] == [(3, 36_000), (2, 24_000), (1, 0)]
        assert {version.author for version in versions[:2]} == {"Manager"}


@ON_SQLITE
def test_saved_edits_stay_visible_until_the_new_version_is_loaded(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "ring-road", ["car", "truck"])
    page = open_page(Role.MANAGER, path="/datasets/ring-road/classes")
    rename_class(page, "car", "saloon")
    held_requests: list[Route] = []

    def hold(route: Route) -> None:
        held_requests.append(route)

    page.route(re.compile("ring-road(@|%40)2/classes"), hold)
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("No unsaved changes")).to_be_visible()
    expect(page.locator("[data-test=version-menu]")).to_have_text("main · v2")
    expect(class_row(page, "saloon")).to_contain_text("12")
    expect(class_row(page, "car")).to_have_count(0)
    for route in held_requests:
        route.continue_()
    expect(page.get_by_text("renamed", exact=True)).to_have_count(0)
    expect(class_row(page, "saloon")).to_contain_text("12")
