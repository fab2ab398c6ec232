"""Searching and filtering items: words, chips, the query mode, drawn objects and confidence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.conftest import OpenPage, Server, assert_accessible, take_screenshot

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
FLEET = "/datasets/fleet"


@pytest.fixture(scope="module")
def fleet(server: Server) -> list[Item]:
    """A dataset with scores, tags, numbers and texts, made of the images of the harbour."""
    with Workspace.open(server.workspace) as workspace:
        version = workspace.datasets.open("harbour")
        columns = (Column("tags", Kind.LABELS), Column("depth", Kind.NUMBER), Column("weather", Kind.TEXT))
        items = []
        for number, item in enumerate(version.items()):
            objects = tuple(
                replace(obj, score=0.05 + 0.9 * (index + number % 3) / (len(item["objects"]) + 2))
                for index, obj in enumerate(item["objects"])
            )
            added = {"tags": ("night",) if number % 2 else ("noon", "rush hour"), "depth": 2.5 * number}
            values = {**item.values, **added, "objects": objects, "weather": "fog" if number % 3 == 0 else "sun"}
            items.append(Item(item.key, values))
        if not workspace.datasets.exists("fleet"):
            workspace.datasets.write("fleet", Schema((*version.schema.columns, *columns)), items, mode="create")
        return items


def search_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search items")


def chips(page: Page) -> Locator:
    return page.locator("[data-test=filter-chip]")


def total(page: Page) -> Locator:
    return page.locator("[data-test=total]")


def url_parameters(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def keys_with_class(items: list[Item], name: str) -> list[str]:
    return [item.key for item in items if any(obj.class_name == name for obj in item["objects"])]


def test_words_find_keys_classes_tags_and_texts(open_page: OpenPage, fleet: list[Item]) -> None:
    page = open_page(Role.VIEWER, path=FLEET)
    expect(total(page)).to_have_text("10 items")
    page.keyboard.press("/")
    expect(search_box(page)).to_be_focused()
    foggy_nights = sum("night" in item["tags"] and item["weather"] == "fog" for item in fleet)
    for words, count in [("FOG night", foggy_nights), (f"{fleet[4].key}.jpg", 1)]:
        search_box(page).fill(words)
        search_box(page).press("Enter")
        expect(total(page)).to_have_text(re.compile(f"^{count} of 10"))
    assert url_parameters(page)["search"] == f"{fleet[4].key}.jpg"
    for text in ['"', "\\", "any(objects", "not #", "'''", "%*?[", "Größe 🚢 船", "\u2028x"]:
        search_box(page).fill(text)
        search_box(page).press("Enter")
        expect(page.get_by_text("No matching items")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
    search_box(page).press("Escape")
    expect(search_box(page)).not_to_be_focused()
    page.get_by_role("button", name="Clear all").first.click()
    expect(total(page)).to_have_text("10 items")
    expect(search_box(page)).to_have_value("")


def test_suggestions_become_filters_by_keyboard_and_mouse(open_page: OpenPage, fleet: list[Item]) -> None:
    page = open_page(Role.VIEWER, path=FLEET)
    name = fleet[0]["objects"][0].class_name
    search_box(page).click()
    search_box(page).type(f"fog {name[:3]}")
    option = page.get_by_role("option", name=name, exact=True)
    expect(option).to_be_visible()
    expect(page.get_by_role("option").first).to_contain_text(f"Search for “fog {name[:3]}”")
    take_screenshot(page, "search-suggestions")
    while option.get_attribute("aria-selected") != "true":
        search_box(page).press("ArrowDown")
    search_box(page).press("Enter")
    expect(chips(page)).to_have_text(["fog×", f"Class: {name}×"])
    expect(search_box(page)).to_have_value("fog")
    matching = {item.key for item in fleet if item["weather"] == "fog"} & set(keys_with_class(fleet, name))
    expect(total(page)).to_have_text(re.compile(f"^{len(matching)} of 10"))
    search_box(page).fill("rush")
    page.get_by_role("option", name="rush hour").click()
    expect(chips(page).filter(has_text="Tag: rush hour")).to_be_visible()
    search_box(page).fill(fleet[3].key[-5:])
    page.get_by_role("option", name=fleet[3].key).click()
    expect(chips(page).filter(has_text=f"File: {fleet[3].key}")).to_be_visible()
    search_box(page).fill("dep")
    page.get_by_role("option", name="depth").click()
    expect(chips(page).filter(has_text="depth: 0 – 22.5")).to_be_visible()
    search_box(page).fill("val")
    page.get_by_role("option", name="split: val").click()
    expect(chips(page).filter(has_text="Split: val")).to_be_visible()
    page.reload()
    expect(chips(page)).to_have_count(5)
    assert_accessible(page)
    page.get_by_role("button", name="Remove filter: Tag: rush hour").click()
    expect(chips(page)).to_have_count(4)
    page.get_by_role("group", name="Active filters").get_by_role("button", name="Clear all").click()
    expect(chips(page)).to_have_count(0)
    expect(total(page)).to_have_text("10 items")


def test_sidebar_filters_by_field(open_page: OpenPage, fleet: list[Item]) -> None:
    page = open_page(Role.VIEWER, path=FLEET)
    sidebar = page.get_by_role("complementary", name="Filters")
    sidebar.get_by_role("button", name="weather").click()
    sidebar.get_by_role("button", name=re.compile("^fog")).click()
    expect(total(page)).to_have_text(re.compile(f"^{sum(item['weather'] == 'fog' for item in fleet)} of 10"))
    expect(chips(page)).to_have_text(["weather: fog×"])
    sidebar.get_by_role("button", name="depth").click()
    sidebar.get_by_role("group", name="depth").get_by_role("button").first.click()
    expect(total(page)).to_have_text(re.compile("^1 of 10"))
    sidebar.get_by_role("button", name="No", exact=True).click()
    expect(chips(page).filter(has_text="Labelled: No")).to_be_visible()
    expect(page.get_by_text("No matching items")).to_be_visible()
    take_screenshot(page, "search-no-matches")
    page.get_by_role("button", name=re.compile("^Remove Labelled: No")).click()
    expect(total(page)).to_have_text(re.compile("^1 of 10"))
    page.goto(f"{FLEET}?search=nothing%20fog&labelled=false")
    page.get_by_role("button", name=re.compile("^Only “fog”")).click()
    expect(chips(page)).to_have_text(["fog×"])


def test_switch_to_the_equivalent_query_and_back(open_page: OpenPage, fleet: list[Item]) -> None:
    page = open_page(Role.VIEWER, path=f"{FLEET}?search=fog%20%22a&classes={json.dumps(['tug'])}")
    expect(chips(page)).to_have_count(3)
    page.get_by_role("button", name="Query", exact=True).click()
    query = page.get_by_label("Query", exact=True)
    expect(query).to_have_value('search("fog \\"a") and any(objects, class == "tug")')
    expect(chips(page)).to_have_count(0)
    assert url_parameters(page)["query"] == query.input_value()
    page.get_by_role("button", name="Search", exact=True).click()
    expect(chips(page)).to_have_count(3)
    expect(search_box(page)).to_have_value('fog "a')
    page.get_by_role("button", name="Query", exact=True).click()
    query.fill("depth > 5 # no")
    query.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    query.fill("depth >= 5")
    query.press("Enter")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(total(page)).to_have_text(re.compile("^8 of 10"))
    checks: list[Route] = []

    def hold(route: Route) -> None:  # the mode changes while the query is checked
        checks.append(route)

    page.route("**/keys?*", hold)
    page.reload()
    expect(query).to_have_value("depth >= 5")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(chips(page)).to_have_text(["Query: depth >= 5×"])
    assert checks
    for check in checks:
        check.continue_()
    page.unroute("**/keys?*")
    expect(total(page)).to_have_text(re.compile("^8 of 10"))
    assert url_parameters(page)["mode"] == "search"
    page.get_by_role("button", name="Remove filter: Query: depth >= 5").click()
    expect(total(page)).to_have_text("10 items")


def test_an_invalid_query_keeps_the_results(open_page: OpenPage, fleet: list[Item]) -> None:
    page = open_page(Role.VIEWER, path=f"{FLEET}?query=depth%20%3C%205")
    expect(total(page)).to_have_text(re.compile("^2 of 10"))
    expect(page.get_by_role("gridcell")).to_have_count(2)
    query = page.get_by_label("Query", exact=True)
    query.fill('any(objects, clas == "ship")')
    query.press("Enter")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("'clas' is neither a field of an object nor a column.")
    lines = error.inner_text().split("\n")
    assert lines[1].index("clas") == lines[2].index("^^^^")
    expect(total(page)).to_have_text(re.compile("^2 of 10"))
    expect(page.get_by_role("gridcell")).to_have_count(2)
    expect(page.locator(".thumbnail img")).to_have_count(2)
    take_screenshot(page, "search-invalid-query")
    page.get_by_role("gridcell").first.get_by_role("button", name=re.compile("^Item")).click()
    expect(page.get_by_text("1 of 2", exact=True)).to_be_visible()
    page.goto(f"{FLEET}?query=dept")
    expect(page.get_by_role("alert")).to_contain_text("Did you mean depth?")
    expect(page.get_by_text("Correct the query to see items.")).to_be_visible()
    expect(page.get_by_role("gridcell")).to_have_count(0)


def test_objects_of_other_classes_and_uncertain_ones_are_not_drawn(open_page: OpenPage, fleet: list[Item]) -> None:
    name = fleet[0]["objects"][0].class_name
    item = next(item for item in fleet if {obj.class_name for obj in item["objects"]} > {name})
    matching = [obj for obj in item["objects"] if obj.class_name == name]
    page = open_page(Role.VIEWER, path=f"{FLEET}?search={item.key}")
    card = page.get_by_role("gridcell").first
    caption = card.locator(".caption")
    expect(caption).to_contain_text(f"{len(item['objects'])}")
    page.locator(".filter-sidebar .classes .option", has_text=name).get_by_role("button").first.click()
    only = page.get_by_label("Show only matching objects")
    expect(only).to_be_checked()
    expect(caption.locator(".muted")).to_have_text(f"{len(matching)}")
    card.get_by_role("button", name=re.compile("^Item")).click()
    shown = f"{len(matching)} of {len(item['objects'])} objects shown"
    expect(page.get_by_text(shown)).to_be_visible()
    expect(page.locator("aside button.object")).to_have_count(len(matching))
    take_screenshot(page, "search-viewer")
    only.uncheck()
    expect(page.locator("aside button.object")).to_have_count(len(item["objects"]))
    assert url_parameters(page)["others"] == "true"
    page.get_by_role("slider", name="Confidence threshold").focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page).to_have_url(re.compile("confidence=0"))
    threshold = float(url_parameters(page)["confidence"])
    certain = [obj for obj in item["objects"] if obj.score is not None and obj.score >= threshold]
    expect(page.locator("aside button.object")).to_have_count(len(certain))


def test_items_without_an_object_of_the_confidence_are_left_out(open_page: OpenPage, fleet: list[Item]) -> None:
    scores = sorted(max(obj.score or 0 for obj in item["objects"]) for item in fleet)
    threshold = round((scores[4] + scores[5]) / 2, 2)
    page = open_page(Role.VIEWER, path=f"{FLEET}?confidence={threshold}")
    expect(total(page)).to_have_text("10 items")
    page.get_by_label("Only items with such an object").check()
    expect(total(page)).to_have_text(re.compile(f"^{sum(score >= threshold for score in scores)} of 10"))
    expect(chips(page)).to_have_text([f"Confidence: ≥ {round(threshold * 100)} %×"])
    page.goto("/datasets/harbour")
    expect(total(page)).to_have_text("10 items")
    expect(page.get_by_role("slider", name="Confidence threshold")).to_have_count(0)


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1024)])
def test_search_fits_the_window(open_page: OpenPage, fleet: list[Item], theme: str, width: int) -> None:
    name = fleet[0]["objects"][0].class_name
    page = open_page(Role.VIEWER, theme=theme, width=width, path=f"{FLEET}?classes={json.dumps([name])}")
    expect(chips(page)).to_have_count(1)
    assert_accessible(page)
    search_box(page).fill("n")
    expect(page.get_by_role("option", name="night")).to_be_visible()
    assert_accessible(page)
    take_screenshot(page, f"search-{theme}-{width}")
    search_box(page).press("Escape")
    page.get_by_role("button", name="Filters").click()
    if width < 700:
        page.get_by_role("complementary", name="Filters").get_by_role("button", name="Close").click()
        expect(page.get_by_role("complementary", name="Filters")).to_have_count(0)
