"""Branches in the browser: merged with a choice in each conflict, and taken away."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import ON_POSTGRESQL, Served, keep

from saccade.app.ingest.importing import import_dataset
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]


def apart(served: Served, name: str) -> list[str]:
    """A dataset whose branches call the first object of two items differently, and each one of its own; the keys."""
    with Workspace.open(served.folder) as workspace:
        version = import_dataset(workspace, served.allowed, name).version
        items = [item for item in version.items(["objects"]) if item["objects"]][:4]
        workspace.datasets.branch(name, "night-shift", "1")
        schema = Schema((version.schema["objects"],))
        for branch, called, alone in (("main", "pilot boat", 2), ("night-shift", "ferry", 3)):
            changed = [
                Item(item.key, {"objects": (replace(item["objects"][0], class_name=called), *item["objects"][1:])})
                for item in (*items[:2], items[alone])
            ]
            workspace.datasets.write(name, schema, changed, mode="merge", branch=branch, message=f"Called {called}")
        return [item.key for item in items]


def first_class(served: Served, name: str, key: str) -> str:
    with Workspace.open(served.folder) as workspace:
        found = workspace.datasets.open(name).get(key)["objects"][0].class_name
    return str(found)


@ON_POSTGRESQL
def test_branches_are_merged_with_a_choice_for_each_conflict(opened: Open, served: Served) -> None:
    keys = apart(served, "berths")
    page = opened(Role.MANAGER, path="/datasets/berths/versions")
    page.get_by_role("link", name="Merge branches").click()
    settled = page.locator("[data-test=settled]")
    expect(settled).to_have_text("0 of 2 settled")
    merge = page.get_by_role("button", name="Merge", exact=True)
    expect(merge).to_be_disabled()
    page.get_by_role("radio", name=re.compile("Theirs")).nth(0).click()
    expect(settled).to_have_text("1 of 2 settled")
    expect(page.locator(".frame img").first).to_have_js_property("complete", True)
    keep(page, "merge-half")
    page.get_by_role("radio", name=re.compile("Mine")).nth(1).click()
    page.get_by_label("Message").fill("Both shifts")
    keep(page, "merge-settled")
    with Workspace.open(served.folder) as workspace:  # somebody else is first
        workspace.datasets.alias("berths", "seen", 2)
        workspace.datasets.delete_items("berths", workspace.datasets.open("berths").keys()[-1:])
    merge.click()
    expect(page.get_by_text("no longer what you looked at")).to_be_visible()
    expect(settled).to_have_text("0 of 2 settled")
    page.get_by_role("button", name="Theirs in all").click()
    page.get_by_role("radio", name=re.compile("Mine")).nth(1).click()
    expect(settled).to_have_text("2 of 2 settled")
    merge.click()
    expect(page.get_by_text("Made berths@5")).to_be_visible()
    expect(page).to_have_url(re.compile("/datasets/berths/versions"))
    expect(page.get_by_role("option", name=re.compile("Both shifts"))).to_be_visible()
    called = [first_class(served, "berths", key) for key in keys]
    assert called == ["ferry", "pilot boat", "pilot boat", "ferry"]
    page.get_by_role("link", name="Merge branches").click()
    expect(page.get_by_text("There is nothing to merge")).to_be_visible()


def test_branches_and_aliases_are_taken_away(opened: Open, served: Served) -> None:
    apart(served, "away")
    page = opened(Role.MANAGER, theme="dark", width=1024, path="/datasets/away/versions")
    page.get_by_role("option", name=re.compile("^v1")).click()
    page.get_by_role("button", name="Alias", exact=True).click()
    page.get_by_label("Name of the alias").fill("before")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Take away: before")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    keep(page, "versions-named")
    page.get_by_role("button", name="Take away: before").click()
    page.get_by_role("dialog").get_by_role("button", name="Take away").click()
    expect(page.get_by_role("button", name="Take away: before")).to_have_count(0)
    page.get_by_role("option", name=re.compile("^v3")).click()
    page.get_by_role("link", name="Merge branches").click()
    expect(page.locator("[data-test=settled]")).to_have_text("0 of 2 settled")
    expect(page.locator(".frame img").first).to_have_js_property("complete", True)
    expect(page.get_by_role("tab", name="Versions")).to_have_attribute("aria-selected", "true")
    keep(page, "merge-dark")
    page.go_back()
    page.get_by_role("option", name=re.compile("^v3")).click()
    page.get_by_role("button", name="Take away: night-shift").click()
    page.get_by_role("dialog").get_by_role("button", name="Take away").click()
    expect(page.get_by_role("link", name="Merge branches")).to_have_count(0)
    with Workspace.open(served.folder) as workspace:
        assert workspace.datasets.branches("away") == {"main": 2}
        assert workspace.datasets.open("away@3").info.message == "Called ferry"
