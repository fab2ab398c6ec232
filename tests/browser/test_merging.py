"""Branches in the browser: merging with conflicts, and deleting branches and aliases."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import ON_POSTGRESQL, OpenPage, Server, take_screenshot

from saccade.app.ingest.importing import import_dataset
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


def create_diverged_branches(server: Server, name: str) -> list[str]:
    """Create a dataset with two branches that relabel the first object of items: two in conflict, one alone on each.

    Returns:
        The keys of the four items: both in conflict, the one of ``main``, the one of ``night-shift``.
    """
    with Workspace.open(server.workspace) as workspace:
        version = import_dataset(workspace, server.shared_folder, name).version
        items = [item for item in version.items(["objects"]) if item["objects"]][:4]
        workspace.datasets.branch(name, "night-shift", "1")
        schema = Schema((version.schema["objects"],))
        for branch, class_name, own_item in (("main", "pilot boat", items[2]), ("night-shift", "ferry", items[3])):
            changed = [
                Item(item.key, {"objects": (replace(item["objects"][0], class_name=class_name), *item["objects"][1:])})
                for item in (*items[:2], own_item)
            ]
            workspace.datasets.write(name, schema, changed, mode="merge", branch=branch, message=f"Called {class_name}")
        return [item.key for item in items]


def first_class(server: Server, name: str, key: str) -> str:
    """Return the class of the first object of an item."""
    with Workspace.open(server.workspace) as workspace:
        return str(workspace.datasets.open(name).get(key)["objects"][0].class_name)


@ON_POSTGRESQL
def test_merge_branches_with_conflicts(open_page: OpenPage, server: Server) -> None:
    keys = create_diverged_branches(server, "berths")
    page = open_page(Role.MANAGER, path="/datasets/berths/versions")
    page.get_by_role("link", name="Merge branches").click()
    resolved = page.locator("[data-test=resolved]")
    expect(resolved).to_have_text("0 of 2 resolved")
    merge = page.get_by_role("button", name="Merge", exact=True)
    expect(merge).to_be_disabled()
    page.get_by_role("radio", name=re.compile("Theirs")).nth(0).click()
    expect(resolved).to_have_text("1 of 2 resolved")
    expect(page.locator(".frame img").first).to_have_js_property("complete", True)
    take_screenshot(page, "merge-half")
    page.get_by_role("radio", name=re.compile("Ours")).nth(1).click()
    page.get_by_label("Version message").fill("Both shifts")
    take_screenshot(page, "merge-resolved")
    with Workspace.open(server.workspace) as workspace:  # another user edits the target branch first
        workspace.datasets.alias("berths", "seen", 2)
        workspace.datasets.delete_items("berths", workspace.datasets.open("berths").keys()[-1:])
    merge.click()
    expect(page.get_by_text("has changed: its head is now version")).to_be_visible()
    expect(resolved).to_have_text("0 of 2 resolved")
    page.get_by_role("button", name="Use theirs for all").click()
    page.get_by_role("radio", name=re.compile("Ours")).nth(1).click()
    expect(resolved).to_have_text("2 of 2 resolved")
    merge.click()
    expect(page.get_by_text("Created berths@5")).to_be_visible()
    expect(page).to_have_url(re.compile("/datasets/berths/versions"))
    expect(page.get_by_role("option", name=re.compile("Both shifts"))).to_be_visible()
    classes = [first_class(server, "berths", key) for key in keys]
    assert classes == ["ferry", "pilot boat", "pilot boat", "ferry"]
    page.get_by_role("link", name="Merge branches").click()
    expect(page.get_by_text("Nothing to merge")).to_be_visible()


def test_delete_branches_aliases_and_tags(open_page: OpenPage, server: Server) -> None:
    create_diverged_branches(server, "names")
    page = open_page(Role.MANAGER, theme="dark", width=1024, path="/datasets/names/versions")
    page.get_by_role("option", name=re.compile("^v1")).click()
    for kind, name in (("Alias", "before"), ("Tag", "gold")):
        page.get_by_role("button", name=kind, exact=True).click()
        page.get_by_label(f"{kind} name").fill(name)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name=f"Delete: {name}")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)
    take_screenshot(page, "versions-named")
    for name in ("before", "gold"):
        page.get_by_role("button", name=f"Delete: {name}").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("button", name=f"Delete: {name}")).to_have_count(0)
    page.get_by_role("option", name=re.compile("^v3")).click()
    page.get_by_role("link", name="Merge branches").click()
    expect(page.locator("[data-test=resolved]")).to_have_text("0 of 2 resolved")
    expect(page.locator(".frame img").first).to_have_js_property("complete", True)
    expect(page.get_by_role("tab", name="Versions")).to_have_attribute("aria-selected", "true")
    take_screenshot(page, "merge-dark")
    page.go_back()
    page.get_by_role("option", name=re.compile("^v3")).click()
    page.get_by_role("button", name="Delete: night-shift").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Merge branches")).to_have_count(0)
    with Workspace.open(server.workspace) as workspace:
        assert workspace.datasets.branches("names") == {"main": 2}
        assert workspace.datasets.open("names@3").info.message == "Called ferry"
