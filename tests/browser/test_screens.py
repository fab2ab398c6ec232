"""Every screen in the browser; screenshots are saved in artifacts/screens."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import (
    ON_POSTGRESQL,
    ON_SQLITE,
    PASSWORD,
    OpenPage,
    Server,
    assert_accessible,
    take_screenshot,
)
from tests.support.http_receiver import until

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
SCREENS = {
    "dashboard": ("/", "What would you like to do?"),
    "datasets": ("/datasets", "large"),
    "items": ("/datasets/harbour", "10 items"),
    "item": ("/datasets/harbour/item?key=scene000_00&index=0", "Details"),
    "classes": ("/datasets/harbour/classes", "sailboat"),
    "statistics": ("/datasets/harbour/statistics", "Objects per class"),
    "versions": ("/datasets/harbour/versions", "First version"),
    "export": ("/datasets/harbour/export", "Supports"),
    "label-sets": ("/label-sets", "No label sets yet"),
    "import": ("/import", "Drop files"),
    "jobs": ("/jobs", "Jobs"),
    "models": ("/models", "No models yet"),
    "pipelines": ("/pipelines", "re-runs only the steps"),
    "new-pipeline": ("/pipelines/new", "Use an example"),
    "runs": ("/runs", "harbour"),
    "train": ("/train", "Recipe"),
    "predict": ("/predict", "Confidence threshold"),
    "members": ("/members", "owner@example.org"),
    "account": ("/account", "API tokens"),
    "webhooks": ("/webhooks", "Webhooks notify external services"),
    "audit-log": ("/audit-log", "signed in"),
    "not-found": ("/nowhere", "Page not found"),
}
MISSING = {
    "/datasets/nowhere": "Datasets",
    "/datasets/nowhere/classes": "Datasets",
    "/datasets/harbour@99": "Datasets",
    "/datasets/nowhere/item?key=x": "Datasets",
    "/datasets/harbour/item?key=nothing&index=0": "harbour",
    "/label-sets/nowhere": "Label sets",
    "/label-sets/nowhere/label": "Label sets",
    "/models/nowhere": "Models",
    "/runs/nowhere": "Runs",
    "/pipelines/nowhere": "Pipelines",
    "/jobs/nowhere": "Jobs",
    "/webhooks/nowhere": "Webhooks",
}
"""Paths of resources that do not exist, and the title of the screen that their link leads back to."""


@pytest.mark.parametrize(
    ("server", "theme", "width"), [("sqlite", "light", 1440), ("postgresql", "dark", 1024)], indirect=["server"]
)
@pytest.mark.usefixtures("server")
def test_every_screen_opens(open_page: OpenPage, theme: str, width: int) -> None:
    page = open_page(Role.OWNER, theme=theme, width=width)
    for name, (path, text) in SCREENS.items():
        page.goto(path)
        expect(page.get_by_text(text).first).to_be_visible()
        assert_accessible(page)
        take_screenshot(page, f"{name}-{theme}-{width}")


@ON_SQLITE
def test_a_missing_resource_shows_a_link_back(open_page: OpenPage) -> None:
    page = open_page(Role.OWNER)
    for path, title in MISSING.items():
        page.goto(path)
        expect(page.get_by_role("alert")).to_have_count(1)
        expect(page.get_by_role("alert")).to_contain_text(re.compile("nowhere|nothing|99"))
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        expect(page.get_by_role("tab")).to_have_count(0)
        assert_accessible(page)
        take_screenshot(page, f"missing-{path}")
        page.get_by_role("link", name=f"Back to {title}").click()
        expect(page).not_to_have_url(re.compile("nowhere|nothing|99"))
        expect(page.get_by_role("alert")).to_have_count(0)


@ON_SQLITE
def test_the_next_user_sees_nothing_of_the_last_one(open_page: OpenPage, server: Server) -> None:
    with Workspace.open(server.workspace) as workspace:
        workspace.users.add("next@example.org", Role.VIEWER, "Next", PASSWORD)
    page = open_page(Role.OWNER, path="/account")
    page.get_by_label("Token name").fill("of the owner")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("cell", name="of the owner")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail").fill("next@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.route("**/api/v1/tokens", lambda _: None)  # no answer: only the cache could show something
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Your account").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("cell", name="of the owner")).to_have_count(0)


def test_sign_in_and_out(open_page: OpenPage) -> None:
    page = open_page(None, path="/datasets")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_label("E-mail").fill("reviewer@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    take_screenshot(page, "sign-in-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Datasets")).to_be_visible()
    expect(page.get_by_role("link", name="Members")).to_have_count(0)
    page.goto("/members")
    expect(page.get_by_text("Page not found")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/datasets")
    expect(page).to_have_url(re.compile("/sign-in"))


@ON_POSTGRESQL
def test_invite_a_member_and_remove_their_access(open_page: OpenPage) -> None:
    owner = open_page(Role.OWNER, path="/members")
    owner.get_by_label("E-mail").fill("new@example.org")
    owner.get_by_role("button", name="Invite").click()
    link = owner.locator("[data-test=secret]").inner_text()
    take_screenshot(owner, "members-invited")
    invitation_path = link[link.index("/join") :]
    guest = open_page(None, path=invitation_path)
    expect(guest.get_by_label("E-mail")).to_have_value("new@example.org")
    guest.get_by_label("Your name").fill("<b>New</b>")
    guest.get_by_label("Password").fill(PASSWORD)
    take_screenshot(guest, "invitation")
    guest.get_by_role("button", name="Create account").click()
    expect(guest.get_by_role("heading", name="Hello, <b>New</b>")).to_be_visible()
    owner.reload()
    member = owner.get_by_role("row").filter(has_text="new@example.org")
    expect(member).to_be_visible()
    second_guest = open_page(None, path=invitation_path)
    expect(second_guest.get_by_role("alert")).to_contain_text("This link is not valid")
    member.get_by_role("button", name="Remove access").click()
    owner.get_by_role("dialog").get_by_role("button", name="Remove access").click()
    expect(member).to_have_count(0)
    guest.goto("/datasets")
    expect(guest).to_have_url(re.compile("/sign-in|/no-project"))


@ON_SQLITE
def test_filter_and_sort_items(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/datasets/harbour")
    total = page.locator("[data-test=total]")
    expect(total).to_have_text("10 items")
    expect(page.locator(".thumbnail img").first).to_be_visible()
    page.locator(".filter-sidebar .option", has_text="val").get_by_role("button").click()
    expect(total).to_contain_text("of 10")
    assert "splits=" in page.url
    page.get_by_role("button", name="Clear all").click()
    expect(total).to_have_text("10 items")
    page.get_by_role("button", name="Query", exact=True).click()
    query = page.get_by_label("Query", exact=True)
    query.fill("len(objects) > 10000")
    query.press("Enter")
    expect(page.get_by_text("No matching items")).to_be_visible()
    query.fill("len(objcts) > 1")
    query.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("objcts")
    take_screenshot(page, "items-invalid-query")
    query.fill("len(obj")
    expect(page.get_by_role("option", name="objects")).to_be_visible()
    query.press("Tab")
    query.type(") > 0")
    query.press("Enter")
    expect(total).to_contain_text("items")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("group", name="Objects per item").get_by_role("button").first.click()
    expect(total).to_contain_text("of 10")
    page.go_back()
    page.goto("/datasets/harbour")
    first_item = page.get_by_role("gridcell").first
    first_key = first_item.inner_text().split("\n", maxsplit=1)[0]
    page.get_by_role("button", name="Reverse order").click()
    expect(first_item).not_to_contain_text(first_key)


def test_browse_single_items(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/datasets/harbour")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    heading = page.locator("header strong")
    first_key = heading.inner_text()
    expect(page.get_by_text("1 of 10")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("2 of 10")).to_be_visible()
    expect(heading).not_to_have_text(first_key)
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(first_key)
    first_object = page.locator(".object").first
    first_object.click()
    expect(first_object).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("+")
    page.keyboard.press("l")
    take_screenshot(page, "item-object-selected")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download file").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"\xff\xd8"
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/datasets/harbour$"))


def test_large_image_loads_tiles(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/datasets/large")
    page.get_by_role("button", name=re.compile("^Item ")).first.click()
    tiles = page.locator("img.layer[src*='/tile?']")
    expect(tiles.first).to_be_visible()
    for _ in range(8):
        page.keyboard.press("+")
    expect(page.locator("img.layer[src*='level=0']").first).to_be_visible()
    take_screenshot(page, "large-image")
    count_loaded = "images => images.filter(image => image.complete && image.naturalWidth > 0).length"
    until(lambda: tiles.evaluate_all(count_loaded) > 0)


@ON_POSTGRESQL
def test_import_an_uploaded_folder(open_page: OpenPage, pictures: Path, server: Server) -> None:
    page = open_page(Role.MANAGER, path="/import")
    page.locator("[data-test=folder]").set_input_files(pictures)
    expect(page.get_by_text("Detected format: coco")).to_be_visible()
    expect(page.locator(".previews img").first).to_be_visible()
    take_screenshot(page, "import-review")
    page.get_by_label("Dataset name").fill("dropped")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported: dropped@1")).to_be_visible()
    take_screenshot(page, "import-done")
    page.get_by_role("link", name="View dataset").click()
    expect(page.locator("[data-test=total]")).to_have_text("10 items")
    with Workspace.open(server.workspace) as workspace:
        assert workspace.datasets.open("dropped").keys() == workspace.datasets.open("harbour").keys()


def test_import_an_archive_a_server_folder_and_an_invalid_file(
    open_page: OpenPage, pictures: Path, tmp_path: Path, server: Server
) -> None:
    page = open_page(Role.MANAGER, path="/import")
    with zipfile.ZipFile(tmp_path / "some photos.zip", "w") as archive:
        for image in sorted(pictures.rglob("*.jpg"))[:3]:
            archive.write(image, f"cats/{image.name}")
        archive.writestr("cats/broken.jpg", b"no picture")
        archive.writestr("../outside.jpg", b"x")
    page.locator("[data-test=files]").set_input_files(tmp_path / "some photos.zip")
    expect(page.get_by_label("Dataset name")).to_have_value("some-photos")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported: some-photos@1")).to_be_visible()
    expect(page.get_by_text("skipped", exact=True).first).to_be_visible()
    take_screenshot(page, "import-report")
    assert not (server.workspace.parent / "outside.jpg").exists()
    page.goto("/import")
    page.get_by_role("button", name="Server folder").click()
    page.get_by_text(str(server.shared_folder)).first.click()
    take_screenshot(page, "import-server-folder")
    page.get_by_role("button", name="Use this folder").click()
    expect(page.get_by_text("Detected format: coco")).to_be_visible()
    page.goto("/import")
    (tmp_path / "notes.txt").write_text("nothing to see")
    page.locator("[data-test=files]").set_input_files(tmp_path / "notes.txt")
    expect(page.get_by_text("This source cannot be imported")).to_be_visible()
    take_screenshot(page, "import-invalid")
    page.goto("/jobs")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()


def test_query_error_shows_its_position(open_page: OpenPage, server: Server) -> None:
    """Both in the form that was submitted, and on the page of a job that failed because of it."""
    page = open_page(Role.MANAGER, path="/datasets/harbour/export")
    field = page.get_by_label("Current filter")
    field.fill('any(objects, clas == "ship")')
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.locator(".v-alert")).to_contain_text("clas")
    expect(page.locator(".v-alert").locator("pre")).to_contain_text("^")
    take_screenshot(page, "export-invalid-query")
    field.press_sequentially(" ")
    expect(page.locator(".v-alert")).to_have_count(0)
    with Workspace.open(server.workspace) as workspace:
        parameters = {"dataset": "harbour", "format": "coco", "where": 'clas == "ship"'}
        job = workspace.jobs.add("export", "Export harbour as coco", parameters)
    page.goto(f"/jobs/{job.id}")
    expect(page.locator(".v-alert").locator("pre")).to_contain_text("^")
    take_screenshot(page, "job-failed-light-1440")


@ON_SQLITE
def test_tag_delete_and_restore_items(open_page: OpenPage) -> None:
    page = open_page(Role.MANAGER, path="/datasets/harbour")
    checkboxes = page.get_by_role("gridcell").get_by_role("button", name=re.compile("^Select "))
    checkboxes.nth(0).click()
    checkboxes.nth(2).click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected")).to_be_visible()
    take_screenshot(page, "items-selected")
    page.get_by_role("button", name="Add tag", exact=True).click()
    page.get_by_label("Tag name").fill("night")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Created harbour@2")).to_be_visible()
    page.locator(".filter-sidebar .v-chip", has_text="night").click()
    expect(page.locator("[data-test=total]")).to_contain_text("3 of 10")
    page.get_by_role("button", name="Save view").click()
    page.get_by_label("View name").fill("at night")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="at night")).to_be_visible()
    checkboxes.nth(0).click()
    page.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Created harbour@3")).to_be_visible()
    page.get_by_role("tab", name="Versions").click()
    expect(page.get_by_text("3 removed")).to_be_visible()
    take_screenshot(page, "versions-removed")
    page.get_by_role("option", name=re.compile("^v1")).click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.get_by_text("Created harbour@4")).to_be_visible()
    page.get_by_role("tab", name="Items").click()
    expect(page.locator("[data-test=total]")).to_have_text("10 items")


def test_export_and_download(open_page: OpenPage) -> None:
    page = open_page(Role.MANAGER, path="/datasets/large/export")
    page.get_by_role("button", name="Export").click()
    link = page.get_by_role("link", name=re.compile("Download large-1-coco.zip"))
    expect(link).to_be_visible()
    take_screenshot(page, "job-finished")
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert any(name.endswith("large.png") for name in archive.namelist())


def test_token_is_shown_once(open_page: OpenPage) -> None:
    page = open_page(Role.ANNOTATOR, path="/account")
    page.get_by_label("Token name").fill("scripts")
    page.get_by_role("button", name="Create token").click()
    token = page.locator("[data-test=secret]").inner_text()
    assert token.startswith("sct_")
    take_screenshot(page, "account-token")
    page.reload()
    expect(page.get_by_role("cell", name="scripts")).to_be_visible()
    expect(page.get_by_text(token)).to_have_count(0)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("cell", name="scripts")).to_have_count(0)


def test_grid_with_the_keyboard(open_page: OpenPage) -> None:
    page = open_page(Role.VIEWER, path="/datasets/harbour")
    page.locator(".thumbnail").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-index='1'] .thumbnail")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 of 10")).to_be_visible()


@ON_POSTGRESQL
def test_create_switch_and_join_projects(open_page: OpenPage, server: Server) -> None:
    """A new project has nothing of the others, its images load, and an existing user joins it by invitation."""
    page = open_page(Role.OWNER)
    page.get_by_role("button", name="Project: default").click()
    page.get_by_text("New project").click()
    page.get_by_label("Name", exact=True).fill("night-shift")
    take_screenshot(page, "project-new")
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/p/night-shift/$"))
    expect(page.get_by_text("No datasets yet")).to_be_visible()
    with Workspace.open(server.workspace, "night-shift") as workspace:
        import_dataset(workspace, server.shared_folder, "moored")
    page.get_by_role("link", name="Datasets").click()
    page.get_by_role("link", name="moored").first.click()
    expect(page).to_have_url(re.compile("/p/night-shift/datasets/moored"))
    thumbnail = page.locator(".thumbnail img").first
    expect(thumbnail).to_have_js_property("complete", True)
    assert "/projects/night-shift/" in str(thumbnail.get_attribute("src"))
    take_screenshot(page, "project-items")
    page.get_by_role("link", name="Members").click()
    expect(page.get_by_text("owner@example.org")).to_be_visible()
    expect(page.get_by_text("viewer@example.org")).to_have_count(0)
    page.get_by_label("E-mail").fill("viewer@example.org")
    page.get_by_role("button", name="Invite").click()
    link = page.locator("[data-test=secret]").inner_text()
    guest = open_page(None, path=link[link.index("/join") :])
    expect(guest.get_by_text("night-shift")).to_be_visible()
    expect(guest.get_by_label("Your name")).to_have_count(0)
    guest.get_by_label("Password").fill(PASSWORD)
    take_screenshot(guest, "invitation-existing-account")
    guest.get_by_role("button", name="Join").click()
    expect(guest).to_have_url(re.compile("/p/night-shift/$"))
    guest.get_by_role("button", name="Project: night-shift").click()
    take_screenshot(guest, "project-menu")
    guest.get_by_role("menuitem", name="default").or_(guest.get_by_role("option", name="default")).or_(
        guest.get_by_role("link", name=re.compile("^default"))
    ).first.click()
    expect(guest).to_have_url(re.compile("^[^/]*//[^/]*/$"))
    outsider = open_page(Role.ANNOTATOR, path="/p/night-shift/datasets/moored")
    expect(outsider).to_have_url(re.compile("^[^/]*//[^/]*/$"))
    expect(outsider.get_by_text("moored")).to_have_count(0)
