"""Panels of a Python package in the browser: their blocks, forms and links; their content is never HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import OpenPage, Server, add_users, start_server, stop_server, take_screenshot
from tests.support.plugin_package import write_package

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
PANELS = ("everything", "about", "overview", "for_managers", "slow", "raises", "tells", "broken", "no_panel")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Server]:
    """A server with an installed package that provides panels."""
    folder = tmp_path_factory.mktemp("panels")
    packages = write_package(folder / "packages", PANELS)
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        add_users(workspace, *Role)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        process, address = start_server(folder, "--panel-seconds", "5", "--workers", "0")
    yield Server(address, folder, pictures)
    errors = stop_server(process)
    assert "the secret of the server" in errors, "tracebacks are in the log"
    assert "the panel 'broken' of the package 'street-panels' cannot be loaded" in errors


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name)


def assert_no_script_ran(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.harmed") is None
    assert page.evaluate("document.querySelector('img[src=x], [onload], [onerror], main script')") is None


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_every_kind_of_block(open_page: OpenPage, theme: str, width: int) -> None:
    page = open_page(Role.MANAGER, theme=theme, width=width, path="/datasets/harbour/panels?panel=everything")
    everything = panel(page, "Everything")
    expect(everything.get_by_text("two\nlines")).to_be_visible()
    expect(everything.locator("svg text", has_text="<img").first).to_be_visible()
    expect(everything.locator("dd", has_text="1,234,567")).to_be_visible()
    expect(everything.locator("td", has_text="yes")).to_be_visible()
    expect(everything.locator(".image img").first).to_be_visible()
    expect(page.locator(".v-alert", has_text="broken")).to_contain_text("ModuleNotFoundError")
    take_screenshot(page, f"panel-everything-{theme}-{width}")
    for chart in everything.locator("[role=img]").all():
        chart.hover()
        page.mouse.wheel(0, 30)
    assert_no_script_ran(page)
    assert everything.locator("iframe, script, object, embed").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    everything.get_by_role("button", name="Fail").scroll_into_view_if_needed()
    take_screenshot(page, f"panel-everything-bottom-{theme}-{width}")
    page.goto("/datasets/harbour/panels?panel=class_balance")
    balance = panel(page, "Class balance")
    expect(balance.get_by_text("Imbalance")).to_be_visible()
    expect(balance.locator("[role=img] svg").first).to_be_visible()
    take_screenshot(page, f"panel-balance-{theme}-{width}")
    balance.get_by_text("Outliers", exact=True).last.scroll_into_view_if_needed()
    take_screenshot(page, f"panel-balance-bottom-{theme}-{width}")
    page.goto("/")
    expect(panel(page, "Overview").get_by_text("default: harbour")).to_be_visible()
    assert_no_script_ran(page)
    panel(page, "Overview").scroll_into_view_if_needed()
    take_screenshot(page, f"panel-dashboard-{theme}-{width}")


def test_forms_buttons_and_links(open_page: OpenPage, server: Server) -> None:
    with Workspace.open(server.workspace) as workspace:
        keys = workspace.datasets.open("harbour").keys()
    page = open_page(Role.VIEWER, path="/datasets/harbour/panels?panel=everything")
    everything = panel(page, "Everything")
    expect(everything.get_by_text("count 3 share")).to_be_visible()
    expect(page.get_by_text("ModuleNotFoundError")).to_have_count(0)
    everything.get_by_label("Count").fill("12")
    everything.get_by_role("button", name="Again", exact=True).click()
    expect(everything.get_by_text("count 12 share")).to_be_visible()
    everything.get_by_label("Count").fill("500")
    everything.get_by_label("Word").press("Enter")
    everything.get_by_label("Count").fill("13")
    everything.get_by_label("Is loud").check()
    everything.get_by_role("button", name="Again", exact=True).click()
    expect(everything.get_by_text("count 13 share")).to_be_visible()
    expect(everything.get_by_label("Is loud")).to_be_checked()
    everything.get_by_role("button", name=re.compile("^Seven")).click()
    expect(everything.get_by_text("count 7 share")).to_be_visible()
    expect(everything.get_by_label("Word")).to_have_value("pressed")
    everything.get_by_role("button", name="Fail").click()
    expect(everything.get_by_role("alert").first).to_contain_text("The panel 'everything' failed: ValueError")
    expect(page.get_by_text("secret")).to_have_count(0)
    expect(everything.get_by_text("count 7 share")).to_be_visible()  # the last result stays
    take_screenshot(page, "panel-failed")
    everything.get_by_role("button", name="Again", exact=True).click()
    expect(everything.get_by_text("The panel 'everything' failed")).to_have_count(0)
    everything.locator("td").get_by_role("link", name="one", exact=True).click()
    expect(page.locator("header strong")).to_have_text(keys[1])
    page.goto("/datasets/harbour/panels?panel=everything")
    everything.get_by_role("link", name=re.compile("^filtered")).click()
    expect(page.locator("[data-test=total]")).to_contain_text("of 10")
    assert "query=" in page.url
    page.goto("/datasets/harbour/panels?panel=everything")
    everything.locator(".image").nth(2).click()
    expect(page.locator("header strong")).to_have_text(keys[2])


def test_panels_of_items_and_the_dashboard(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/datasets/harbour")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    page.get_by_text("About it").click()
    expect(panel(page, "About it")).to_contain_text("of harbour@1 has")
    first_text = panel(page, "About it").inner_text()
    take_screenshot(page, "panel-item")
    page.keyboard.press("ArrowRight")
    expect(panel(page, "About it")).not_to_have_text(first_text)
    page.goto("/")
    expect(panel(page, "Raises").get_by_role("alert")).to_contain_text("failed: RuntimeError")
    expect(panel(page, "Tells").get_by_role("alert")).to_contain_text("There is too little to see. Import more.")
    expect(panel(page, "Slow").get_by_role("alert")).to_contain_text("took more than 5 seconds")
    expect(panel(page, "For managers")).to_have_count(0)
    expect(page.get_by_role("heading", name="Hello, Viewer")).to_be_visible()
    expect(page.get_by_text("harbour").first).to_be_visible()
    take_screenshot(page, "panel-dashboard-failing")
