"""The review of a source before its import shows what the import would skip or refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import OpenPage, assert_accessible
from tests.browser.test_training import look

from saccade.core.roles import Role

pytestmark = pytest.mark.slow


def test_files_that_are_no_images_are_named_before_the_import(
    open_page: OpenPage, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for image in sorted(pictures.rglob("*.jpg"))[:4]:
        shutil.copy(image, folder)
    (folder / "notes.jpg").write_text("This is not an image.")
    page = open_page(Role.MANAGER, path="/import")
    page.locator("[data-test=folder]").set_input_files(folder)
    verdict = page.locator("[data-test=verdict]")
    expect(verdict).to_have_text("1 item cannot be used and would be skipped.")
    expect(page.get_by_text("notes", exact=False).last).to_be_visible()
    expect(page.locator(".previews img")).to_have_count(4)
    look(page, "import-check")
    page.get_by_label("Fail if any data would be lost").check()
    expect(page.get_by_text("With this option the import fails")).to_be_visible()
    (folder / "notes.jpg").unlink()
    page.goto("/import")
    page.locator("[data-test=folder]").set_input_files(folder)
    expect(verdict).to_have_text("Everything can be imported.")
    for image in folder.iterdir():
        image.write_text("This is not an image.")
    page.goto("/import")
    page.locator("[data-test=folder]").set_input_files(folder)
    expect(verdict).to_contain_text("This source cannot be imported.")
    expect(verdict).to_contain_text("None of the 4 images can be used")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    assert_accessible(page)
    look(page, "import-refused")
