"""Fixtures of the browser tests: a server in its own process, and Chromium."""

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
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.conftest import empty_database

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

TIMEOUT_MS = 60_000
"""Other tests may run at the same time, and every job starts its own process."""
expect.set_options(timeout=TIMEOUT_MS)
PASSWORD = "correct horse battery"
ON_BOTH_DATABASES = pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)
_RUN_EVERYTHING = bool(os.environ.get("SACCADE_EVERYTHING"))
ON_SQLITE = ON_BOTH_DATABASES if _RUN_EVERYTHING else pytest.mark.usefixtures("server")
"""Screens are opened with both databases; actions are tested with one, unless SACCADE_EVERYTHING is set."""
ON_POSTGRESQL = (
    ON_BOTH_DATABASES if _RUN_EVERYTHING else pytest.mark.parametrize("server", ["postgresql"], indirect=True)
)
SCREENSHOTS = Path(os.environ.get("SACCADE_ARTIFACTS", "artifacts")) / "screens"
_CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
OpenPage = Callable[..., Page]


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        address: its URL.
        workspace: the folder of its workspace.
        shared_folder: the folder from which it allows imports.
    """

    address: str
    workspace: Path
    shared_folder: Path


def start_server(workspace: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server. Returns its process and its address."""
    command = [sys.executable, "-m", "saccade", "serve", "--port", "0", "--json", "--workspace", str(workspace)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            break
    assert lines, process.stderr.read() if process.stderr else ""
    return process, str(json.loads("".join(lines))["address"])


def stop_server(process: subprocess.Popen[str]) -> str:
    """Stop a server. Returns what it wrote to stderr."""
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def _write_large_image(folder: Path) -> Path:
    """Write an image that the viewer shows in tiles, with a colour in each quarter."""
    folder.mkdir()
    pixels = np.zeros((2200, 3000, 3), np.uint8)
    pixels[:1100, :1500] = (200, 40, 40)
    pixels[:1100, 1500:] = (40, 200, 40)
    pixels[1100:, :1500] = (40, 40, 200)
    pixels[1100:, 1500:] = (200, 200, 40)
    Image.fromarray(pixels).save(folder / "large.png")
    return folder


def write_video(folder: Path) -> Path:
    """Write a video of twelve frames, each brighter than the one before."""
    import av

    folder.mkdir()
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width = 160
        stream.height = 120
        stream.pix_fmt = "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), number * 20, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return folder


def add_users(workspace: Workspace, *roles: Role) -> None:
    """Add a user for each role, such as manager@example.org."""
    for role in roles:
        workspace.users.add(f"{role}@example.org", role, str(role).title(), PASSWORD)


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server with three datasets and a user for each role; on SQLite unless the test asks for PostgreSQL."""
    folder = tmp_path_factory.mktemp("browser")
    uses_postgresql = getattr(request, "param", "sqlite") == "postgresql"
    catalog = empty_database(request.getfixturevalue("_postgresql_server")) if uses_postgresql else ""
    with Workspace.create(folder, catalog) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        import_dataset(workspace, _write_large_image(folder / "large"), "large")
        import_dataset(workspace, write_video(folder / "film"), "film", format="videos", options={"frames": "none"})
        add_users(workspace, *Role)
    process, address = start_server(folder, "--folder", str(pictures), "--private-network")
    yield Server(address, folder, pictures)
    stop_server(process)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, installed by tools/chromium.py."""
    spec = importlib.util.spec_from_file_location("chromium", Path(__file__).parents[2] / "tools" / "chromium.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    path = tool.chromium()
    assert path is not None, "Chromium is not installed. Run tools/chromium.py."
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(_CHROMIUM_ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(server: Server, browser: Browser) -> Iterator[OpenPage]:
    """Open pages, signed in as a user with a role. A script error or a server error on any of them fails the test."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def open_path(role: Role | None = Role.OWNER, *, theme: str = "light", width: int = 1440, path: str = "/") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            base_url=server.address,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda response: errors.append(response.url) if response.status >= 500 else None)
        page.goto(path)
        if role is not None:
            page.get_by_label("E-mail").fill(f"{role}@example.org")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    yield open_path
    for context in contexts:
        context.close()
    assert errors == []


def take_screenshot(page: Page, name: str) -> None:
    """Save a screenshot among the artifacts."""
    page.wait_for_load_state("networkidle")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{re.sub('[^a-z0-9-]+', '-', name)}.png")


def assert_accessible(page: Page) -> None:
    """Every visible button and link has a name for screen readers, and the page is not wider than the window."""
    nameless = page.locator("button:visible, a:visible").evaluate_all(
        "elements => elements.filter(element => !(element.innerText.trim() || element.ariaLabel || element.title))"
        ".map(element => element.outerHTML)"
    )
    assert nameless == [], f"{page.url}: elements without a name"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is wider than the window"
