"""A real server in a process of its own, and a real browser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.conftest import empty_database

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

PATIENCE = 60_000
"""Milliseconds: other tests run beside these, and a job begins with a process of its own."""
expect.set_options(timeout=PATIENCE)
PASSWORD = "correct horse battery"
BOTH = pytest.mark.parametrize("served", ["sqlite", "postgresql"], indirect=True)
"""For tests that are to pass with either database."""
_EVERYTHING = bool(os.environ.get("SACCADE_EVERYTHING"))
ON_SQLITE = BOTH if _EVERYTHING else pytest.mark.usefixtures("served")
"""Every screen is looked at with both databases; what is done there is done with one, unless all is asked for."""
ON_POSTGRESQL = BOTH if _EVERYTHING else pytest.mark.parametrize("served", ["postgresql"], indirect=True)
ARTIFACTS = Path(os.environ.get("SACCADE_ARTIFACTS", "artifacts")) / "screens"
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A server that runs, and where what it serves lies."""

    address: str
    folder: Path
    allowed: Path


def serve(folder: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server of a workspace; the process, and its address."""
    command = [sys.executable, "-m", "saccade", "serve", "--port", "0", "--json", "--workspace", str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            break
    assert lines, process.stderr.read() if process.stderr else ""
    return process, str(json.loads("".join(lines))["address"])


def _large(folder: Path) -> Path:
    """A picture that is fetched in squares: in each of its corners another colour."""
    folder.mkdir()
    pixels = np.zeros((2200, 3000, 3), np.uint8)
    pixels[:1100, :1500], pixels[:1100, 1500:] = (200, 40, 40), (40, 200, 40)
    pixels[1100:, :1500], pixels[1100:, 1500:] = (40, 40, 200), (200, 200, 40)
    Image.fromarray(pixels).save(folder / "large.png")
    return folder


def _film(folder: Path) -> Path:
    """A video of twelve frames that become lighter."""
    import av

    folder.mkdir()
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), number * 20, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return folder


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, request: pytest.FixtureRequest
) -> Iterator[Served]:
    """A server, on SQLite or on what a test asks for: see :data:`BOTH`."""
    folder = tmp_path_factory.mktemp("browser")
    is_large = getattr(request, "param", "sqlite") == "postgresql"
    catalog = empty_database(request.getfixturevalue("_postgresql_server")) if is_large else ""
    with Workspace.create(folder, catalog) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        import_dataset(workspace, _large(folder / "large"), "large")
        import_dataset(workspace, _film(folder / "film"), "film", format="videos", options={"frames": "none"})
        for role in Role:
            workspace.people.add(f"{role}@example.org", role, str(role).title(), PASSWORD)
    process, address = serve(folder, "--folder", str(pictures), "--private-network")
    yield Served(address, folder, pictures)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    spec = importlib.util.spec_from_file_location("chromium", Path(__file__).parents[2] / "tools" / "chromium.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    path = tool.chromium()
    assert path is not None, "There is no Chromium: run tools/chromium.py."
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield running
        running.close()


@pytest.fixture
def opened(served: Served, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages for people of a role; whatever a page complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(role: Role | None = Role.OWNER, *, theme: str = "light", width: int = 1440, path: str = "/") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light",
            base_url=served.address,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 500 else None)
        page.goto(path)
        if role is not None:
            page.get_by_label("E-mail").fill(f"{role}@example.org")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def keep(page: Page, name: str) -> None:
    """Keep a picture of a page among the artifacts."""
    page.wait_for_load_state("networkidle")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{re.sub('[^a-z0-9-]+', '-', name)}.png")
