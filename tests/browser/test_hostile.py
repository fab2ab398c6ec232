"""Names, labels and texts that would be code if a page took them for it; every screen shows them as what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tests.browser.conftest import Served

from saccade.app.ingest.importing import import_dataset
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, FileRef, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
HARM = '"><img src=x onerror="window.harmed=1"><svg onload=window.harmed=1>'
SCRIPT = "<script>window.harmed=1</script>'-window.harmed-'"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.harmed=1</script></svg>'


def test_names_and_texts_are_only_shown(opened: Callable[..., Page], served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (40, 30), (90, 120, 200)).save(folder / f"{HARM.replace('/', '')}.png")
    (folder / "drawn.svg").write_text(SVG)
    with Workspace.open(served.folder) as workspace:
        images = import_dataset(workspace, folder, "hostile").version
        (item,) = images.items()
        key = item.key
        schema = Schema(
            (
                Column("objects", Kind.OBJECTS, (ClassInfo(HARM), ClassInfo(SCRIPT))),
                Column("note", Kind.TEXT), Column("tags", Kind.LABELS), Column("more", Kind.TABLE),
            )
        )  # fmt: skip
        values = {
            "objects": (
                Object("1", HARM, Box(2, 2, 20, 20), None, SCRIPT, {HARM: SCRIPT}),
                Object("2", SCRIPT, Box(5, 5, 30, 28), 0.5, None, {}),
            ),
            "note": SCRIPT, "tags": (HARM, SCRIPT), "more": {HARM: [SCRIPT]},
        }  # fmt: skip
        workspace.datasets.write("hostile", schema, [Item(key, values)], mode="merge", message=SCRIPT, author=HARM)
        job = workspace.jobs.add("import", f"Import {HARM}", {"source": {"folder": SCRIPT}, "dataset": "x"})
        workspace.jobs.cancel(job.id)
        workspace.datasets.keep_view("hostile", SCRIPT, {"query": "note == 'x'"}, author=HARM)
    page = opened(Role.OWNER, path="/datasets")
    spoke: list[str] = []
    page.on("dialog", lambda dialog: spoke.append(dialog.message))
    # Every name is a text of the screen, and none became a part of it.
    for path, shown in {
        "/datasets": "hostile",
        "/datasets/hostile": HARM[2:14],
        f"/datasets/hostile/item?key={quote(key)}&at=0": SCRIPT,
        "/datasets/hostile/classes": SCRIPT,
        "/datasets/hostile/statistics": SCRIPT,
        "/datasets/hostile/versions": SCRIPT,
        "/datasets/hostile/export": "Holds",
        "/jobs": HARM[2:14],
        f"/jobs/{job.id}": HARM[2:14],
    }.items():
        page.goto(path)
        expect(page.get_by_text(shown).locator("visible=true").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.mouse.move(300, 300)
        assert page.evaluate("window.harmed") is None, path
        assert page.evaluate("document.querySelector('img[src=x], [onload], [onerror], main script')") is None, path
    query = "/datasets/hostile?query=" + quote(SCRIPT)
    page.goto(query)
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("window.harmed") is None
    assert spoke == []


def test_a_page_that_is_sent_as_a_file_is_not_opened(opened: Callable[..., Page], served: Served) -> None:
    """Whoever opens the address of a file gets it to keep; a browser neither runs nor guesses what it is."""
    with Workspace.open(served.folder) as workspace:
        ref = workspace.objects.put_bytes(SVG.encode())
        schema = Schema((Column("page", Kind.FILE),))
        item = Item("a.svg", {"page": FileRef(ref, len(SVG), "a.svg")})
        workspace.datasets.write("pages", schema, [item], mode="create")
    page = opened(Role.VIEWER, path="/datasets")
    address = f"{served.address}/api/v1/datasets/pages/file?key=a.svg&column=page"
    answer = page.request.get(address)
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.body() == SVG.encode()
