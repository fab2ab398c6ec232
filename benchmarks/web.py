"""Measure the web app and the HTTP API: startup, first page, and an import of ten thousand images in the browser.

usage: web.py [--images 10000] [--label-studio PYTHON] [--folder DIR] [--json]

Chromium opens the app, drops a folder of JPEGs and imports it. The baseline is a bare loop that reads, hashes and
writes the same files. With ``--label-studio``, an interpreter that has Label Studio, its server (SQLite) and Saccade
import the same images by HTTP, return a first page of a hundred, and export: Saccade a COCO archive with the images,
Label Studio JSON that refers to them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from browser import chromium
from server import start

PASSWORD = "a password of mine"
_BATCH = 100
_LABELS = """<View><Image name="image" value="$image"/><RectangleLabels name="l" toName="image">
<Label value="a"/></RectangleLabels></View>"""


def make_pictures(folder: Path, count: int) -> int:
    """Create JPEGs of 640 x 480, all different, and return their total size in bytes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    base = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    for number in range(count):
        picture = base.copy()
        picture.paste((number % 256, number // 256 % 256, 90), (number % 560, 40, number % 560 + 80, 120))
        picture.save(folder / f"{number:05}.jpg", quality=85)
    return sum(file.stat().st_size for file in folder.iterdir())


def timed(operation: Callable[[], Any]) -> tuple[float, Any]:
    start_time = time.perf_counter()
    result = operation()
    return time.perf_counter() - start_time, result


def bare_copy(source: Path, target: Path) -> None:
    """Read, hash, write and sync to disk."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        data = file.read_bytes()
        (target / hashlib.sha256(data).hexdigest()).write_bytes(data)
    os.sync()


def in_browser(address: str, pictures: Path) -> dict[str, float]:
    """Measure the seconds to a usable first page and to the end of upload and import, and the bytes of script."""
    with chromium() as browser:
        page = browser.new_page(base_url=address)
        page.set_default_timeout(1_800_000)

        def open_first() -> None:
            page.goto("/")
            page.get_by_label("E-mail").fill("a@example.org")

        first, _ = timed(open_first)
        script = page.evaluate(
            "performance.getEntriesByType('resource').filter(one => one.name.endsWith('.js'))"
            ".reduce((sum, one) => sum + one.encodedBodySize, 0)"
        )
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Hello, A").wait_for()

        def open_home() -> None:
            page.goto("/")
            page.get_by_role("heading", name="Hello, A").wait_for()

        home, _ = timed(open_home)
        page.goto("/import")
        page.locator("[data-test=folder]").set_input_files(pictures)

        def upload() -> None:
            page.get_by_text("Detecting the format").wait_for()

        sent, _ = timed(upload)
        looked, _ = timed(lambda: page.get_by_label("Dataset name").wait_for())

        def imported() -> None:
            page.get_by_role("button", name="Import", exact=True).click()
            page.get_by_role("link", name="View dataset").wait_for()

        importing, _ = timed(imported)
    return {"first_page": first, "home": home, "script": script, "sent": sent, "looked": looked, "imported": importing}


def ours(address: str, token: str, pictures: Path, folder: Path) -> dict[str, float]:
    """Measure the seconds of import, first page and export by HTTP."""
    from saccade.client import connect

    with connect(address, token) as remote:
        importing, _ = timed(lambda: remote.import_dataset(pictures, "by-http", format="images"))
        page, _ = timed(lambda: remote.api.get("/datasets/by-http/items", limit=100))
        export, _ = timed(lambda: remote.export_dataset("by-http", "coco", folder))
    return {"import": importing, "page": page, "export": export}


def label_studio(python: Path, pictures: Path, folder: Path) -> dict[str, float]:
    """Measure the same for Label Studio."""
    token, port = "".join(random.Random(1).choices("0123456789abcdef", k=40)), 8199
    settings = {
        **os.environ,
        "COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
    }
    command = [
        str(python.parent / "label-studio"),
        "start",
        "--no-browser",
        "--internal-host",
        "127.0.0.1",
        "-p",
        str(port),
        "--username",
        "a@example.org",
        "--password",
        PASSWORD,
        "--user-token",
        token,
    ]
    process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).read()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)
        with httpx.Client(base_url=address, headers={"Authorization": f"Token {token}"}, timeout=600) as client:
            response = client.post("/api/projects", json={"title": "bench", "label_config": _LABELS}).raise_for_status()
            project = response.json()["id"]
            files = sorted(pictures.iterdir())

            def importing() -> None:
                for start in range(0, len(files), _BATCH):
                    batch = {
                        file.name: (file.name, file.read_bytes(), "image/jpeg")
                        for file in files[start : start + _BATCH]
                    }
                    client.post(f"/api/projects/{project}/import", files=batch).raise_for_status()

            import_seconds, _ = timed(importing)
            imported = client.get(f"/api/projects/{project}").raise_for_status().json()["task_number"]
            assert imported == len(files), f"{imported} of {len(files)} arrived"
            query = {"project": project, "page": 1, "page_size": 100, "fields": "all"}
            page, _ = timed(lambda: client.get("/api/tasks", params=query).raise_for_status())
            export_options = {"exportType": "JSON", "download_all_tasks": "true"}
            export, _ = timed(
                lambda: client.get(f"/api/projects/{project}/export", params=export_options).raise_for_status().read()
            )
    finally:
        process.terminate()
        process.wait()
    return {"import": import_seconds, "page": page, "export": export}


def measure(folder: Path, count: int, peer: Path | None) -> dict[str, Any]:
    """Run all measurements."""
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    size = make_pictures(folder / "pictures", count)
    with Workspace.create(folder / "home") as workspace:
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", PASSWORD)
        token = workspace.users.create_token(owner.id, "benchmark", Role.MANAGER)[1]
    result: dict[str, Any] = {"images": count, "bytes": size}
    process, api, seconds = start(folder / "home")
    address = api.removesuffix("/api/v1")
    try:
        result["start"] = seconds
        result["bare"], _ = timed(lambda: bare_copy(folder / "pictures", folder / "bare"))
        result["browser"] = in_browser(address, folder / "pictures")
        if peer is not None:
            result["ours"] = ours(address, token, folder / "pictures", folder / "out")
    finally:
        process.terminate()
        process.wait()
    if peer is not None:
        result["label_studio"] = label_studio(peer, folder / "pictures", folder / "studio")
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--label-studio", type=Path, help="a Python that has Label Studio")
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        result = measure(Path(temporary), options.images, options.label_studio)
    if options.json:
        print(json.dumps(result))
        return
    browser = result["browser"]
    print(f"the server answers after {result['start']:.2f} s, {browser['script'] / 1e3:.0f} kB of script on page one")
    print(
        f"  the first page can be used after {browser['first_page']:.2f} s, the dashboard after {browser['home']:.2f} s"
    )
    print(f"{result['images']:,} images, {result['bytes'] / 1e6:.0f} MB, through the browser")
    for name in ("sent", "looked", "imported"):
        print(f"  {name:10} {browser[name]:6.1f} s, {browser[name] / result['bare']:.2f} of the bare copy")
    print(f"  bare copy  {result['bare']:6.1f} s")
    if "label_studio" in result:
        for name, value in result["ours"].items():
            peer = result["label_studio"][name]
            print(f"  {name:8} ours {value:7.2f} s, Label Studio {peer:7.2f} s: {value / peer:.3f}")


if __name__ == "__main__":
    main()
