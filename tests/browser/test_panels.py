"""Panels of a package on the screen: what they show, what one does with them, and that nothing of theirs is markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import PASSWORD, Served, keep, serve
from tests.support.plugin_package import write_package

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]
INSTALLED = ("everything", "about", "overview", "for_managers", "slow", "raises", "tells", "broken", "no_panel")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Served]:
    """A server beside which a package with panels is installed."""
    folder = tmp_path_factory.mktemp("panels")
    packages = write_package(folder / "packages", INSTALLED)
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        for role in Role:
            workspace.people.add(f"{role}@example.org", role, str(role).title(), PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        process, address = serve(folder, "--panel-seconds", "5", "--workers", "0")
    yield Served(address, folder, pictures)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "the secret of the server" in errors, "tracebacks are in the log"
    assert "the panel 'broken' of the package 'street-panels' cannot be loaded" in errors


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name)


def unharmed(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.harmed") is None
    assert page.evaluate("document.querySelector('img[src=x], [onload], [onerror], main script')") is None


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_every_block_is_drawn_as_what_it_is(opened: Open, theme: str, width: int) -> None:
    page = opened(Role.MANAGER, theme=theme, width=width, path="/datasets/harbour/panels?panel=everything")
    shown = panel(page, "Everything")
    expect(shown.get_by_text("two\nlines")).to_be_visible()
    expect(shown.locator("svg text", has_text="<img").first).to_be_visible()
    expect(shown.locator("dd", has_text="1,234,567")).to_be_visible()
    expect(shown.locator("td", has_text="yes")).to_be_visible()
    expect(shown.locator(".picture img").first).to_be_visible()
    expect(page.locator(".v-alert", has_text="broken")).to_contain_text("ModuleNotFoundError")
    keep(page, f"panel-everything-{theme}-{width}")
    for chart in shown.locator("[role=img]").all():
        chart.hover()
        page.mouse.wheel(0, 30)
    unharmed(page)
    assert shown.locator("iframe, script, object, embed").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown.get_by_role("button", name="Fail").scroll_into_view_if_needed()
    keep(page, f"panel-everything-foot-{theme}-{width}")
    page.goto("/datasets/harbour/panels?panel=class_balance")
    balance = panel(page, "Class balance")
    expect(balance.get_by_text("Most to least")).to_be_visible()
    expect(balance.locator("[role=img] svg").first).to_be_visible()
    keep(page, f"panel-balance-{theme}-{width}")
    balance.get_by_text("What stands out").scroll_into_view_if_needed()
    keep(page, f"panel-balance-foot-{theme}-{width}")
    page.goto("/")
    expect(panel(page, "Overview").get_by_text("default: harbour")).to_be_visible()
    unharmed(page)
    panel(page, "Overview").scroll_into_view_if_needed()
    keep(page, f"panel-home-{theme}-{width}")


def test_forms_buttons_and_links(opened: Open, served: Served) -> None:
    with Workspace.open(served.folder) as workspace:
        keys = workspace.datasets.open("harbour").keys()
    page = opened(Role.VIEWER, path="/datasets/harbour/panels?panel=everything")
    shown = panel(page, "Everything")
    expect(shown.get_by_text("count 3 share")).to_be_visible()
    expect(page.get_by_text("ModuleNotFoundError")).to_have_count(0)
    shown.get_by_label("Count").fill("12")
    shown.get_by_role("button", name="Again", exact=True).click()
    expect(shown.get_by_text("count 12 share")).to_be_visible()
    shown.get_by_label("Count").fill("500")
    shown.get_by_label("Word").press("Enter")
    shown.get_by_label("Count").fill("13")
    shown.get_by_label("Is loud").check()
    shown.get_by_role("button", name="Again", exact=True).click()
    expect(shown.get_by_text("count 13 share")).to_be_visible()
    expect(shown.get_by_label("Is loud")).to_be_checked()
    shown.get_by_role("button", name=re.compile("^Seven")).click()
    expect(shown.get_by_text("count 7 share")).to_be_visible()
    expect(shown.get_by_label("Word")).to_have_value("pressed")
    shown.get_by_role("button", name="Fail").click()
    expect(shown.get_by_role("alert").first).to_contain_text("The panel 'everything' failed: ValueError")
    expect(page.get_by_text("secret")).to_have_count(0)
    expect(shown.get_by_text("count 7 share")).to_be_visible()  # what was there stays
    keep(page, "panel-failed")
    shown.get_by_role("button", name="Again", exact=True).click()
    expect(shown.get_by_text("The panel 'everything' failed")).to_have_count(0)
    shown.locator("td").get_by_role("link", name="one", exact=True).click()
    expect(page.locator("header strong")).to_have_text(keys[1])
    page.goto("/datasets/harbour/panels?panel=everything")
    shown.get_by_role("link", name=re.compile("^filtered")).click()
    expect(page.locator("[data-test=total]")).to_contain_text("of 10")
    assert "query=" in page.url
    page.goto("/datasets/harbour/panels?panel=everything")
    shown.locator(".picture").nth(2).click()
    expect(page.locator("header strong")).to_have_text(keys[2])


def test_beside_an_item_and_on_the_dashboard(opened: Open, served: Served) -> None:
    page = opened(Role.VIEWER, path="/datasets/harbour")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    page.get_by_text("About it").click()
    expect(panel(page, "About it")).to_contain_text("of harbour@1 has")
    first = panel(page, "About it").inner_text()
    keep(page, "panel-item")
    page.keyboard.press("ArrowRight")
    expect(panel(page, "About it")).not_to_have_text(first)
    page.goto("/")
    expect(panel(page, "Raises").get_by_role("alert")).to_contain_text("failed: RuntimeError")
    expect(panel(page, "Tells").get_by_role("alert")).to_contain_text("There is too little to see. Import more.")
    expect(panel(page, "Slow").get_by_role("alert")).to_contain_text("took more than 5 seconds")
    expect(panel(page, "For managers")).to_have_count(0)
    expect(page.get_by_role("heading", name="Hello, Viewer")).to_be_visible()
    expect(page.get_by_text("harbour").first).to_be_visible()
    keep(page, "panel-home-failing")
