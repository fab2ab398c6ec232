"""Every screen in a real browser, as people use it; pictures of each are kept in artifacts/screens."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import ON_POSTGRESQL, ON_SQLITE, PASSWORD, Served, keep
from tests.support.http_receiver import until

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]
SCREENS = {
    "dashboard": ("/", "What would you like to do?"),
    "datasets": ("/datasets", "large"),
    "items": ("/datasets/harbour", "10 items"),
    "item": ("/datasets/harbour/item?key=scene000_00&at=0", "About"),
    "classes": ("/datasets/harbour/classes", "sailboat"),
    "statistics": ("/datasets/harbour/statistics", "Objects by class"),
    "versions": ("/datasets/harbour/versions", "The first version"),
    "export": ("/datasets/harbour/export", "Holds"),
    "import": ("/import", "Drop files"),
    "jobs": ("/jobs", "Jobs"),
    "models": ("/models", "No models yet"),
    "pipelines": ("/pipelines", "Steps that run again"),
    "new-pipeline": ("/pipelines/new", "Begin with an example"),
    "runs": ("/runs", "harbour"),
    "train": ("/train", "Recipe"),
    "apply": ("/apply", "Least score"),
    "people": ("/people", "owner@example.org"),
    "account": ("/account", "Tokens"),
    "webhooks": ("/webhooks", "Programs elsewhere are told"),
    "log": ("/audit", "signed in"),
    "nowhere": ("/nowhere", "nothing at this address"),
}


@pytest.mark.parametrize(
    ("served", "theme", "width"), [("sqlite", "light", 1440), ("postgresql", "dark", 1024)], indirect=["served"]
)
@pytest.mark.usefixtures("served")
def test_every_screen_is_there(opened: Open, theme: str, width: int) -> None:
    page = opened(Role.OWNER, theme=theme, width=width)
    for name, (path, text) in SCREENS.items():
        page.goto(path)
        expect(page.get_by_text(text).first).to_be_visible()
        nameless = page.locator("button:visible, a:visible").evaluate_all(
            "all => all.filter(one => !(one.innerText.trim() || one.ariaLabel || one.title)).map(one => one.outerHTML)"
        )
        assert nameless == [], f"{name}: a reader of the screen says nothing for these"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"
        keep(page, f"{name}-{theme}-{width}")


def test_signing_in_and_out(opened: Open) -> None:
    page = opened(None, path="/datasets")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_label("E-mail").fill("reviewer@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    keep(page, "sign-in-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Datasets")).to_be_visible()
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    page.goto("/people")
    expect(page.get_by_text("nothing at this address")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/datasets")
    expect(page).to_have_url(re.compile("/sign-in"))


@ON_POSTGRESQL
def test_an_invitation_leads_in(opened: Open) -> None:
    owner = opened(Role.OWNER, path="/people")
    owner.get_by_label("E-mail").fill("new@example.org")
    owner.get_by_role("button", name="Invite").click()
    link = owner.get_by_test_id("once").or_(owner.locator("[data-test=once]")).inner_text()
    keep(owner, "people-invited")
    guest = opened(None, path=link[link.index("/join") :])
    expect(guest.get_by_label("E-mail")).to_have_value("new@example.org")
    guest.get_by_label("Your name").fill("<b>New</b>")
    guest.get_by_label("Password").fill(PASSWORD)
    keep(guest, "join")
    guest.get_by_role("button", name="Make the account").click()
    expect(guest.get_by_role("heading", name="Hello, <b>New</b>")).to_be_visible()
    owner.reload()
    expect(owner.get_by_role("cell", name="new@example.org")).to_be_visible()
    again = opened(None, path=link[link.index("/join") :])
    expect(again.get_by_role("alert")).to_contain_text("leads nowhere")


@ON_SQLITE
def test_filtering_sorting_and_looking(opened: Open) -> None:
    page = opened(Role.VIEWER, path="/datasets/harbour")
    total = page.locator("[data-test=total]")
    expect(total).to_have_text("10 items")
    expect(page.get_by_role("gridcell").first.get_by_role("img").or_(page.locator(".face img").first)).to_be_visible()
    page.locator(".facets .line", has_text="val").get_by_role("button").click()
    expect(total).to_contain_text("of 10")
    assert "splits=" in page.url
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(total).to_have_text("10 items")
    query = page.get_by_label("Query", exact=True)
    query.fill("len(objects) > 10000")
    query.press("Enter")
    expect(page.get_by_text("No item is like this")).to_be_visible()
    query.fill("len(objcts) > 1")
    query.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("objcts")
    keep(page, "items-wrong-query")
    query.fill("len(obj")
    expect(page.get_by_role("option", name="objects")).to_be_visible()
    query.press("Tab")
    query.type(") > 0")
    query.press("Enter")
    expect(total).to_contain_text("items")
    expect(page.get_by_role("alert")).to_have_count(0)
    bars = page.get_by_role("group", name="Objects in an item").get_by_role("button")
    bars.nth(0).click()
    expect(total).to_contain_text("of 10")
    page.go_back()
    page.goto("/datasets/harbour")
    first = page.get_by_role("gridcell").first.inner_text()
    page.get_by_role("button", name="Turn the order round").click()
    expect(page.get_by_role("gridcell").first).not_to_contain_text(first.split("\n", maxsplit=1)[0])


def test_one_item_after_the_other(opened: Open) -> None:
    page = opened(Role.VIEWER, path="/datasets/harbour")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    heading = page.locator("header strong")
    first = heading.inner_text()
    expect(page.get_by_text("1 of 10")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect(heading).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(first)
    thing = page.locator(".thing").first
    thing.click()
    expect(thing).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("+")
    page.keyboard.press("l")
    keep(page, "item-chosen")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the file").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"\xff\xd8"
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/datasets/harbour$"))


def test_a_large_picture_comes_in_squares_and_a_video_by_its_frames(opened: Open) -> None:
    page = opened(Role.VIEWER, path="/datasets/large")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    tiles = page.locator("img.part[src*='/tile?']")
    expect(tiles.first).to_be_visible()
    for _ in range(8):
        page.keyboard.press("+")
    expect(page.locator("img.part[src*='level=0']").first).to_be_visible()
    keep(page, "large")
    loaded = "all => all.filter(one => one.complete && one.naturalWidth > 0).length"
    until(lambda: tiles.evaluate_all(loaded) > 0)
    page.goto("/datasets/film")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    picture = page.locator("img.part").first
    expect(picture).to_have_attribute("src", re.compile("number=0"))
    page.keyboard.press(".")
    expect(picture).to_have_attribute("src", re.compile("number=1&"))
    page.keyboard.press(",")
    expect(picture).to_have_attribute("src", re.compile("number=0"))
    page.get_by_role("button", name="Play").click()
    expect(picture).to_have_attribute("src", re.compile("number=11"))
    keep(page, "film")


@ON_POSTGRESQL
def test_a_folder_is_dropped_looked_at_and_imported(opened: Open, pictures: Path, served: Served) -> None:
    page = opened(Role.MANAGER, path="/import")
    page.locator("[data-test=folder]").set_input_files(pictures)
    expect(page.get_by_text("This is coco")).to_be_visible()
    expect(page.locator(".previews img").first).to_be_visible()
    keep(page, "import-looked-at")
    page.get_by_label("Name of the dataset").fill("dropped")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported: dropped@1")).to_be_visible()
    keep(page, "import-done")
    page.get_by_role("link", name="Look at the dataset").click()
    expect(page.locator("[data-test=total]")).to_have_text("10 items")
    with Workspace.open(served.folder) as workspace:
        assert workspace.datasets.open("dropped").keys() == workspace.datasets.open("harbour").keys()


def test_an_archive_a_folder_of_the_server_and_nonsense(
    opened: Open, pictures: Path, tmp_path: Path, served: Served
) -> None:
    page = opened(Role.MANAGER, path="/import")
    with zipfile.ZipFile(tmp_path / "some photos.zip", "w") as packed:
        for image in sorted(pictures.rglob("*.jpg"))[:3]:
            packed.write(image, f"cats/{image.name}")
        packed.writestr("cats/broken.jpg", b"no picture")
        packed.writestr("../outside.jpg", b"x")
    page.locator("[data-test=files]").set_input_files(tmp_path / "some photos.zip")
    expect(page.get_by_label("Name of the dataset")).to_have_value("some-photos")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported: some-photos@1")).to_be_visible()
    expect(page.get_by_text("set aside").first).to_be_visible()
    keep(page, "import-report")
    assert not (served.folder.parent / "outside.jpg").exists()
    page.goto("/import")
    page.get_by_role("button", name="The server").click()
    page.get_by_text(str(served.allowed)).first.click()
    keep(page, "import-server")
    page.get_by_role("button", name="Import this folder").click()
    expect(page.get_by_text("This is coco")).to_be_visible()
    page.goto("/import")
    (tmp_path / "notes.txt").write_text("nothing to see")
    page.locator("[data-test=files]").set_input_files(tmp_path / "notes.txt")
    expect(page.get_by_text("This cannot be imported")).to_be_visible()
    keep(page, "import-nonsense")
    page.goto("/jobs")
    expect(page.get_by_text("failed").first).to_be_visible()


def test_a_wrong_query_is_shown_with_its_place(opened: Open, served: Served) -> None:
    """At once where it is asked with, and on the page of a job that failed for it."""
    page = opened(Role.MANAGER, path="/datasets/harbour/export")
    field = page.get_by_label("Only what the query shows")
    field.fill('any(objects, clas == "ship")')
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.locator(".v-alert")).to_contain_text("clas")
    expect(page.locator(".v-alert").locator("pre")).to_contain_text("^")
    keep(page, "export-wrong-query")
    field.press_sequentially(" ")
    expect(page.locator(".v-alert")).to_have_count(0)
    with Workspace.open(served.folder) as workspace:
        parameters = {"dataset": "harbour", "format": "coco", "where": 'clas == "ship"'}
        job = workspace.jobs.add("export", "Export harbour as coco", parameters)
    page.goto(f"/jobs/{job.id}")
    expect(page.locator(".v-alert").locator("pre")).to_contain_text("^")
    keep(page, "job-failed-light-1440")


@ON_SQLITE
def test_tags_versions_and_restoring(opened: Open) -> None:
    page = opened(Role.MANAGER, path="/datasets/harbour")
    page.get_by_role("button", name=re.compile("^Choose ")).nth(0).click()
    page.get_by_role("button", name=re.compile("^Choose ")).nth(2).click(modifiers=["Shift"])
    expect(page.get_by_text("3 chosen")).to_be_visible()
    keep(page, "items-chosen")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Name").last.fill("night")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Made harbour@2")).to_be_visible()
    page.locator(".facets .v-chip", has_text="night").click()
    expect(page.locator("[data-test=total]")).to_contain_text("3 of 10")
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name of the view").fill("at night")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="at night")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Choose ")).nth(0).click()
    page.get_by_role("button", name="Choose all").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Made harbour@3")).to_be_visible()
    page.get_by_role("tab", name="Versions").click()
    expect(page.get_by_text("3 removed")).to_be_visible()
    keep(page, "versions-removed")
    page.get_by_role("option", name=re.compile("^v1")).click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.get_by_text("Made harbour@4")).to_be_visible()
    page.get_by_role("tab", name="Items").click()
    expect(page.locator("[data-test=total]")).to_have_text("10 items")


def test_an_export_is_fetched(opened: Open, tmp_path: Path) -> None:
    page = opened(Role.MANAGER, path="/datasets/large/export")
    page.get_by_role("button", name="Export").click()
    link = page.get_by_role("link", name=re.compile("Download large-1-coco.zip"))
    expect(link).to_be_visible()
    keep(page, "job-finished")
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as packed:
        assert any(name.endswith("large.png") for name in packed.namelist())


def test_tokens_are_shown_once(opened: Open) -> None:
    page = opened(Role.ANNOTATOR, path="/account")
    page.get_by_label("What it is for").fill("scripts")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("[data-test=once]").inner_text()
    assert token.startswith("sct_")
    keep(page, "account-token")
    page.reload()
    expect(page.get_by_role("cell", name="scripts")).to_be_visible()
    expect(page.get_by_text(token)).to_have_count(0)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("cell", name="scripts")).to_have_count(0)


def test_the_keyboard_alone(opened: Open) -> None:
    page = opened(Role.VIEWER, path="/datasets/harbour")
    page.locator(".face").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-index='1'] .face")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_text("1 chosen")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 of 10")).to_be_visible()


@ON_POSTGRESQL
def test_projects_are_begun_chosen_and_joined(opened: Open, served: Served) -> None:
    """A project of one's own: nothing of the other is in it, pictures and uploads work there, and a guest comes in."""
    page = opened(Role.OWNER)
    page.get_by_role("button", name="Project: default").click()
    page.get_by_text("New project").click()
    page.get_by_label("Name", exact=True).fill("night-shift")
    keep(page, "project-new")
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/p/night-shift/$"))
    expect(page.get_by_text("No datasets yet")).to_be_visible()
    with Workspace.open(served.folder, "night-shift") as workspace:
        import_dataset(workspace, served.allowed, "moored")
    page.get_by_role("link", name="Datasets").click()
    page.get_by_role("link", name="moored").first.click()
    expect(page).to_have_url(re.compile("/p/night-shift/datasets/moored"))
    face = page.locator(".face img").first
    expect(face).to_have_js_property("complete", True)
    assert "/projects/night-shift/" in str(face.get_attribute("src"))
    keep(page, "project-items")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_text("owner@example.org")).to_be_visible()
    expect(page.get_by_text("viewer@example.org")).to_have_count(0)
    page.get_by_label("E-mail").fill("viewer@example.org")
    page.get_by_role("button", name="Invite").click()
    link = page.locator("[data-test=once]").inner_text()
    guest = opened(None, path=link[link.index("/join") :])
    expect(guest.get_by_text("night-shift")).to_be_visible()
    expect(guest.get_by_label("Your name")).to_have_count(0)
    guest.get_by_label("Password").fill(PASSWORD)
    keep(guest, "join-known")
    guest.get_by_role("button", name="Join").click()
    expect(guest).to_have_url(re.compile("/p/night-shift/$"))
    guest.get_by_role("button", name="Project: night-shift").click()
    keep(guest, "project-menu")
    guest.get_by_role("menuitem", name="default").or_(guest.get_by_role("option", name="default")).or_(
        guest.get_by_role("link", name=re.compile("^default"))
    ).first.click()
    expect(guest).to_have_url(re.compile("^[^/]*//[^/]*/$"))
    stranger = opened(Role.ANNOTATOR, path="/p/night-shift/datasets/moored")
    expect(stranger).to_have_url(re.compile("^[^/]*//[^/]*/$"))
    expect(stranger.get_by_text("moored")).to_have_count(0)
