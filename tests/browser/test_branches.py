"""Branches in the browser: create one, change it, compare it with main, merge and delete it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import ON_SQLITE, OpenPage, Server, assert_accessible, take_screenshot

from saccade.app.datasets.classes import edit_classes
from saccade.app.ingest.importing import import_dataset
from saccade.core.class_edits import AddClass, MergeClass, RenameClass
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


def create_dataset(server: Server, name: str) -> None:
    """Import the pictures, and call two of their classes RBC and WBC."""
    with Workspace.open(server.workspace) as workspace:
        version = import_dataset(workspace, server.shared_folder, name).version
        first, second = version.schema["objects"].class_names[:2]
        edits = [RenameClass(name=first, new_name="RBC"), RenameClass(name=second, new_name="WBC")]
        edit_classes(workspace, name, edits)


def open_version_menu(page: Page) -> None:
    page.locator("[data-test=version-menu]").click()


def select_first_item(page: Page) -> None:
    page.get_by_role("gridcell").get_by_role("button", name=re.compile("^Select ")).first.click()


@ON_SQLITE
def test_change_a_branch_and_merge_it(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "cells")
    page = open_page(Role.MANAGER, path="/datasets/cells/classes")
    menu = page.locator("[data-test=version-menu]")
    expect(menu).to_have_text("main · v2")
    open_version_menu(page)
    take_screenshot(page, "branches-menu")
    page.get_by_text("New branch from v2…").click()
    create = page.get_by_role("button", name="Create branch")
    expect(create).to_be_disabled()
    for name, reason in (("main", "already exists"), ("7", "already selects a version"), ("a b", "Use letters")):
        page.get_by_label("Branch name").fill(name)
        expect(page.get_by_text(reason)).to_be_visible()
        expect(create).to_be_disabled()
    take_screenshot(page, "branches-new")
    page.get_by_label("Branch name").fill("review")
    create.click()

    expect(page).to_have_url(re.compile(r"/datasets/cells@review/classes$"))
    expect(menu).to_have_text("review · v2")
    bar = page.locator("[data-test=branch-bar]")
    expect(bar).to_contain_text("no changes that main does not have")
    page.get_by_role("button", name="RBC", exact=True).click()
    page.get_by_label("New name of RBC").fill("Red cell")
    page.get_by_label("New name of RBC").press("Enter")
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("Created cells@3")).to_be_visible()
    expect(menu).to_have_text("review · v3")
    expect(bar).to_contain_text("1 version that main does not have")

    page.get_by_role("tab", name="Items").click()
    expect(page).to_have_url(re.compile(r"/datasets/cells@review$"))
    select_first_item(page)
    page.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_label("Tag name").fill("reviewed")
    page.get_by_role("button", name="Save").click()
    expect(menu).to_have_text("review · v4")
    take_screenshot(page, "branches-items")

    open_version_menu(page)  # the main branch is unchanged
    page.locator("[data-test=branch]").filter(has_text="main").click()
    expect(page).to_have_url(re.compile(r"/datasets/cells$"))
    expect(menu).to_have_text("main · v2")
    expect(bar).to_have_count(0)
    page.get_by_role("tab", name="Classes").click()
    expect(page.get_by_role("button", name="RBC", exact=True)).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        assert workspace.datasets.branches("cells") == {"main": 2, "review": 4}
        assert "tags" not in workspace.datasets.open("cells").schema

    open_version_menu(page)
    page.locator("[data-test=branch]").filter(has_text="review").click()
    bar.get_by_role("link", name="Compare with main").click()
    expect(page).to_have_url(re.compile(r"/datasets/cells@review/versions\?version=4&against=2$"))
    changes = page.locator("[data-test=class-changes]")
    expect(changes).to_contain_text("renamed")
    expect(changes).to_contain_text("RBC → Red cell")
    expect(page.locator("[data-test=committed-to]").first).to_have_text("review")
    take_screenshot(page, "branches-diff")
    page.reload()
    expect(changes).to_contain_text("RBC → Red cell")

    bar.get_by_role("link", name="Merge into main…").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_text("Created cells@5")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/datasets/cells/versions"))
    expect(menu).to_have_text("main · v5")
    expect(changes).to_contain_text("RBC → Red cell")
    with Workspace.open(server.workspace) as workspace:
        version = workspace.datasets.open("cells")
        assert "Red cell" in version.schema["objects"].class_names
        assert all(item["tags"] == ("reviewed",) for item in version.items(["tags"]))

    open_version_menu(page)
    page.locator("[data-test=branch]").filter(has_text="review").click()
    expect(bar).to_contain_text("no changes that main does not have")
    open_version_menu(page)
    page.get_by_text("Delete branch…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(menu).to_have_text("main · v5")
    expect(page.get_by_text("Deleted the branch review")).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        assert workspace.datasets.branches("cells") == {"main": 5}


def test_fixed_versions_are_read_only(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "slides")
    page = open_page(Role.MANAGER, path="/datasets/slides@1/classes", theme="dark", width=1024)
    bar = page.locator("[data-test=branch-bar]")
    expect(bar).to_contain_text("Version 1 is read-only. Create a branch to change it.")
    expect(page.get_by_role("button", name="Add class")).to_have_count(0)
    assert_accessible(page)
    take_screenshot(page, "branches-fixed")
    page.get_by_role("tab", name="Items").click()
    select_first_item(page)
    expect(page.get_by_role("toolbar").get_by_text("Create a branch to change it")).to_be_visible()
    expect(page.get_by_role("button", name="Add tag")).to_have_count(0)
    bar.get_by_role("button", name="New branch…").click()
    page.get_by_label("Branch name").fill("from-first")
    page.get_by_label("Branch name").press("Enter")
    expect(page.locator("[data-test=version-menu]")).to_have_text("from-first · v1")
    expect(page.get_by_role("button", name="Add tag")).to_be_visible()
    viewer = open_page(Role.VIEWER, path="/datasets/slides@1")
    expect(viewer.locator("[data-test=branch-bar]")).to_have_text(re.compile("Version 1 is read-only. *Go to main"))
    viewer.locator("[data-test=version-menu]").click()
    expect(viewer.locator("[data-test=branch]")).to_have_count(2)
    expect(viewer.get_by_text("New branch from")).to_have_count(0)
    viewer.locator("[data-test=version]").first.click()
    expect(viewer).to_have_url(re.compile("/datasets/slides$"))


def test_diff_lists_merged_classes(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "smears")
    with Workspace.open(server.workspace) as workspace:
        workspace.datasets.branch("smears", "fewer", "2")
        edit_classes(workspace, "smears@fewer", [MergeClass(name="WBC", target="RBC")])
    page = open_page(Role.VIEWER, path="/datasets/smears@fewer/versions", width=390)
    expect(page.locator("[data-test=class-changes]")).to_contain_text("merged")
    expect(page.locator("[data-test=class-changes]")).to_contain_text("WBC → RBC")
    assert_accessible(page)
    take_screenshot(page, "branches-merged-classes")


@ON_SQLITE
def test_a_branch_without_changes_of_its_own(open_page: OpenPage, server: Server) -> None:
    """The bar, the merge page and the dialog agree: merging main into a branch gives main nothing to merge."""
    create_dataset(server, "drafts")
    with Workspace.open(server.workspace) as workspace:
        workspace.datasets.branch("drafts", "review", "2")
        edit_classes(workspace, "drafts", [RenameClass(name="WBC", new_name="White cell")])
        workspace.datasets.merge("drafts", into="review")
    page = open_page(Role.MANAGER, path="/datasets/drafts@review")
    bar = page.locator("[data-test=branch-bar]")
    expect(bar).to_contain_text("no changes that main does not have")
    page.goto(page.url.replace("@review", "@review/merge?from=review&into=main"))
    expect(page.get_by_text("Nothing to merge")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)

    with Workspace.open(server.workspace) as workspace:  # a change of classes only
        edit_classes(workspace, "drafts@review", [AddClass(name="Platelet")])
    page.reload()
    expect(bar).to_contain_text("1 version that main does not have")
    expect(page.get_by_text("Nothing to merge")).to_have_count(0)
    expect(page.get_by_role("button", name="Merge", exact=True)).to_be_enabled()
    open_version_menu(page)
    page.get_by_text("Delete branch…").click()
    expect(page.get_by_text("It has 1 version that is not merged into main")).to_be_visible()
    take_screenshot(page, "branches-delete")


@ON_SQLITE
def test_the_name_under_a_thumbnail_opens_the_item(open_page: OpenPage, server: Server) -> None:
    create_dataset(server, "names")
    page = open_page(Role.MANAGER, path="/datasets/names")
    page.locator(".card .name").first.click()
    expect(page).to_have_url(re.compile(r"/datasets/names/item"))
    page.go_back()
    assert_accessible(page)
