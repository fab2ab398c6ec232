"""Long tables in the browser: a dataset with 2,000 classes, and pages of runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import (
    OpenPage,
    Server,
    add_users,
    assert_accessible,
    start_server,
    stop_server,
    take_screenshot,
)
from tests.support.http_receiver import until

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
CLASSES = 2000
RUNS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, since other tests expect few runs: a dataset of many classes, and many runs."""
    folder = tmp_path_factory.mktemp("long-tables")
    names = [f"species {number:04}" for number in range(CLASSES)]
    schema = Schema((Column("label", Kind.LABEL, tuple(ClassInfo(name) for name in names)),))
    with Workspace.create(folder) as workspace:
        add_users(workspace, Role.MANAGER, Role.VIEWER)
        items = [Item(f"i{number}", {"label": names[number * 7 % CLASSES]}) for number in range(300)]
        workspace.datasets.write("garden", schema, items, mode="create")
        for number in range(RUNS):
            for kind in ("train", "pipeline"):
                run = workspace.runs.start(kind, f"{kind}-{number:03}", {})
                workspace.runs.finish(run.id, "finished")
    process, address = start_server(folder, "--workers", "0")
    yield Server(address, folder, folder)
    stop_server(process)


def class_names(page: Page) -> list[str]:
    names: list[str] = page.locator("tr[data-class]").evaluate_all("rows => rows.map(row => row.dataset.class)")
    return names


def test_classes_are_rendered_while_they_are_visible(open_page: OpenPage) -> None:
    page = open_page(Role.MANAGER, path="/datasets/garden/classes")
    expect(page.get_by_role("button", name="species 0000", exact=True)).to_be_visible()
    assert len(class_names(page)) < 100
    heights = page.locator("tr[data-class]").evaluate_all("rows => [...new Set(rows.map(row => row.offsetHeight))]")
    assert heights == [45]
    assert_accessible(page)
    take_screenshot(page, "many-classes-light-1440")
    main = page.locator(".tab-content")
    for share, name in ((1.0, "species 1999"), (0.5, "species 1000"), (0.0, "species 0000")):
        main.evaluate("(element, share) => element.scrollTo(0, share * element.scrollHeight)", share)
        expect(page.get_by_role("button", name=name, exact=True)).to_be_attached()
        assert len(class_names(page)) < 100
    page.get_by_role("button", name="species 0000", exact=True).focus()
    for _ in range(120):  # three elements in each row: the colour, the name and the menu
        page.keyboard.press("Tab")
    focused = page.locator("tr[data-class]:focus-within")
    expect(focused).to_have_count(1)
    assert int(str(focused.get_attribute("data-index"))) >= 30
    search = page.get_by_role("textbox", name="Search classes")
    search.fill("species 19")
    until(lambda: class_names(page)[:1] == ["species 1900"])
    expect(page.locator("tr[data-class]")).to_have_count(100)
    search.fill("1987")
    until(lambda: class_names(page) == ["species 1987"])
    page.get_by_role("button", name="species 1987", exact=True).press("Enter")
    page.get_by_label("New name of species 1987").fill("rose")
    page.get_by_label("New name of species 1987").press("Enter")
    search.fill("")
    main.evaluate("element => element.scrollTo(0, element.scrollHeight)")
    expect(page.get_by_role("button", name="rose", exact=True)).to_be_visible()


def test_runs_have_pages(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/runs")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(page.get_by_text(re.compile("1–50 of"))).to_be_visible()
    assert_accessible(page)
    page.locator(".v-select").first.click()
    page.get_by_role("option", name="train", exact=True).click()
    expect(page.get_by_text(re.compile(r"1–50 of 120"))).to_be_visible()
    page.get_by_role("button", name="Next page").press("Enter")
    expect(page.get_by_text(re.compile(r"51–100 of 120"))).to_be_visible()
    page.get_by_role("button", name=re.compile("page 3", re.IGNORECASE)).click()
    until(lambda: rows.count() == RUNS - 100)
    expect(page.get_by_role("link", name="train-000")).to_be_visible()
    take_screenshot(page, "runs-page-3")
    page.goto("/pipelines")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text(re.compile(r"51–100 of 120"))).to_be_visible()
