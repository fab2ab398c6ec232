"""Names, labels and texts that contain HTML or scripts: every screen shows them as text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.browser.conftest import OpenPage, Server

from saccade.app.ingest.importing import import_dataset
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, FileRef, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
HTML = '"><img src=x onerror="window.harmed=1"><svg onload=window.harmed=1>'
HTML_START = HTML[2:14]
SCRIPT = "<script>window.harmed=1</script>'-window.harmed-'"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.harmed=1</script></svg>'


def test_html_in_names_and_texts_is_escaped(open_page: OpenPage, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 30), (90, 120, 200)).save(folder / f"{HTML.replace('/', '')}.png")
    (folder / "drawn.svg").write_text(SVG)
    with Workspace.open(server.workspace) as workspace:
        version = import_dataset(workspace, folder, "hostile").version
        (image_item,) = version.items()
        schema = Schema(
            (
                Column("objects", Kind.OBJECTS, (ClassInfo(HTML), ClassInfo(SCRIPT))),
                Column("note", Kind.TEXT),
                Column("tags", Kind.LABELS),
                Column("more", Kind.TABLE),
            )
        )
        values = {
            "objects": (
                Object("1", HTML, Box(2, 2, 20, 20), None, SCRIPT, {HTML: SCRIPT}),
                Object("2", SCRIPT, Box(5, 5, 30, 28), 0.5, None, {}),
            ),
            "note": SCRIPT,
            "tags": (HTML, SCRIPT),
            "more": {HTML: [SCRIPT]},
        }
        item = Item(image_item.key, values)
        workspace.datasets.write("hostile", schema, [item], mode="merge", message=SCRIPT, author=HTML)
        job = workspace.jobs.add("import", f"Import {HTML}", {"source": {"folder": SCRIPT}, "dataset": "x"})
        workspace.jobs.cancel(job.id)
        workspace.datasets.save_view("hostile", SCRIPT, {"query": "note == 'x'"}, author=HTML)
    page = open_page(Role.OWNER, path="/datasets")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for path, text in {
        "/datasets": "hostile",
        "/datasets/hostile": HTML_START,
        f"/datasets/hostile/item?key={quote(item.key)}&index=0": SCRIPT,
        "/datasets/hostile/classes": SCRIPT,
        "/datasets/hostile/statistics": SCRIPT,
        "/datasets/hostile/versions": SCRIPT,
        "/datasets/hostile/export": "Supports",
        "/jobs": HTML_START,
        f"/jobs/{job.id}": HTML_START,
    }.items():
        page.goto(path)
        expect(page.get_by_text(text).locator("visible=true").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.mouse.move(300, 300)  # opens tooltips of charts
        assert page.evaluate("window.harmed") is None, path
        assert page.evaluate("document.querySelector('img[src=x], [onload], [onerror], main script')") is None, path
    page.goto("/datasets/hostile?query=" + quote(SCRIPT))
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("window.harmed") is None
    assert dialogs == []


def test_uploaded_html_is_downloaded_not_opened(open_page: OpenPage, server: Server) -> None:
    with Workspace.open(server.workspace) as workspace:
        ref = workspace.blobs.put_bytes(SVG.encode())
        schema = Schema((Column("page", Kind.FILE),))
        item = Item("a.svg", {"page": FileRef(ref, len(SVG), "a.svg")})
        workspace.datasets.write("pages", schema, [item], mode="create")
    page = open_page(Role.VIEWER, path="/datasets")
    response = page.request.get(f"{server.address}/api/v1/datasets/pages/file?key=a.svg&column=page")
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.body() == SVG.encode()
