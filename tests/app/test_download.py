"""HTTP downloads: retries, limits, redirects and protection against SSRF."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from saccade.app.ingest.importing import import_dataset
from saccade.app.net import safe_http
from saccade.app.net.download import DownloadLimits, download, url_file_name
from saccade.app.net.safe_http import is_global
from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.report import FindingType
from saccade.core.urls import redact_url
from saccade.store.workspace import Workspace

LIMITS = DownloadLimits(
    max_bytes=50_000, idle_timeout=2, total_timeout=20, max_redirects=3, max_attempts=3, retry_pause=0.01
)


def png(side: int = 20) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, 10), "red").save(out, "PNG")
    return out.getvalue()


class Site(BaseHTTPRequestHandler):
    """A server whose behaviour depends on the path."""

    asked: ClassVar[Counter[str]] = Counter()
    secrets: ClassVar[list[str]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        self.secrets.append(self.headers.get("Authorization") or "")
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.answer(302, Location=self.path.removeprefix("/to/"))
        elif path == "/busy":
            self.answer(*((200, b"at last") if self.asked[self.path] == 3 else (503, b"")), Retry_After="0")
        elif path == "/cut":
            self.answer(200, b"short", Content_Length="500")
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(bytes(1000))
        elif path == "/slow":
            time.sleep(1)
        elif path in _MOVED:
            self.answer(302, Location=_MOVED[path])
        else:
            self.answer(*_ANSWERS.get(path, (404, b"")))


_ANSWERS = {
    "/a.png": (200, png()),
    "/b%20%C3%BC.png": (200, png()),
    "/c": (200, png()),
    "/never": (503, b""),
    "/large": (200, bytes(60_000)),
}
_MOVED = {"/loop": "/loop", "/file": "file:///etc/hostname"}


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked.clear()
    Site.secrets.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def get(url: str, tmp_path: Path, *, private: bool = True, limits: DownloadLimits = LIMITS) -> bytes:
    target = tmp_path / "fetched"
    try:
        download(url, target, allow_private=private, limits=limits)
        return target.read_bytes()
    finally:
        target.unlink(missing_ok=True)


def test_downloads_complete_files(site: str, tmp_path: Path) -> None:
    assert get(f"{site}/a.png", tmp_path) == png()
    assert get(f"{site}/to//a.png", tmp_path) == png()
    assert get(f"{site}/b ü.png".replace(" ", "%20"), tmp_path) == png()
    assert get(f"{site}/busy", tmp_path) == b"at last"
    assert Site.asked["/busy"] == 3


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/nothing", NotFoundError, "responded with 404"),
        ("/loop", InvalidValueError, r"Too many redirects \(limit 3\)"),
        ("/never", SaccadeError, "responded with 503"),
        ("/cut", SaccadeError, "broke off"),
        ("/large", FormatError, "has 60,000 bytes; the limit is 50,000"),
        ("/endless", FormatError, "has more than 50,000 bytes"),
        ("/file", InvalidValueError, "is not a valid HTTP URL"),
    ],
)
def test_errors(site: str, tmp_path: Path, path: str, error: type[SaccadeError], message: str) -> None:
    with pytest.raises(error, match=message):
        get(site + path, tmp_path)
    assert not (tmp_path / "fetched").exists()


def test_idle_timeout(site: str, tmp_path: Path) -> None:
    with pytest.raises(SaccadeError, match="does not respond"):
        get(f"{site}/slow", tmp_path, limits=DownloadLimits(idle_timeout=0.3, max_attempts=1))


def test_private_addresses_are_rejected(site: str, tmp_path: Path) -> None:
    port = site.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"):
        with pytest.raises(SaccadeError, match=r"not a public internet address|cannot be resolved"):
            get(f"http://{host}:{port}/a.png", tmp_path, private=False)
    assert not Site.asked


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a00:1::", False),
        ("ff02::1", False),
        ("240.0.0.1", False),
        ("fec0::1", False),
        ("fec0::a00:1%eth0", False),
        ("feff:ffff::1", False),
        ("192.88.99.1", False),
        ("192.88.99.255", False),
        ("::ffff:192.88.99.1", False),
        ("64:ff9b::c058:6301", False),
        ("2002:c058:6301::", False),
        ("192.88.98.255", True),
        ("192.88.100.0", True),
    ],
)
def test_is_global(address: str, public: bool) -> None:
    assert is_global(address) is public


def test_host_name_is_resolved_once(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against DNS rebinding: a name that is public when checked and private when connected to."""
    port = int(site.rpartition(":")[2])
    looked: list[str] = []
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])

    def look_up(host: str, number: int, **_: Any) -> list[Any]:
        looked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, number)) for address in next(answers)]

    connected: list[tuple[str, int]] = []

    def connect_to(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        sock = socket.socket()
        sock.connect(("127.0.0.1", port))
        return sock

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect_to)
    assert get(f"http://pictures.example:{port}/a.png", tmp_path, private=False) == png()
    assert (looked, connected) == (["pictures.example"], [("93.184.216.34", port)])
    with pytest.raises(InvalidValueError, match=r"inside\.example \(127\.0\.0\.1\) is not a public internet address"):
        get(f"http://inside.example:{port}/a.png", tmp_path, private=False)


def test_redirect_to_private_address(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "is_global", lambda address: address == "127.0.0.1")
    assert get(f"{site}/a.png", tmp_path, private=False) == png()
    with pytest.raises(InvalidValueError, match=r"10\.1\.2\.3\) is not a public internet address"):
        get(f"{site}/to/http://10.1.2.3/a.png", tmp_path, private=False)


def test_credentials_are_sent_but_redacted(site: str, tmp_path: Path) -> None:
    url = site.replace("//", "//anna:s3cret@") + "/nothing?signature=abc"
    with pytest.raises(NotFoundError) as caught:
        get(url, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert Site.secrets == ["Basic YW5uYTpzM2NyZXQ="]
    assert redact_url("https://u:p@h.example:8/x/y?q=1") == "https://h.example:8/x/y?…"
    assert url_file_name("https://h.example/a/b%20c.png?x=1") == "b c.png"


@pytest.mark.parametrize(
    "url", ["http://", "http://a:0/x", "http://a:99999/x", "http://a/b c", "http://a/\r\nX: y", "ftp://a/b"]
)
def test_invalid_urls(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="is not a valid"):
        get(url, tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


def test_url_list(site: str, tmp_path: Path, workspace: Workspace) -> None:
    lines = [
        "# pictures",
        f"{site}/a.png",
        "",
        f"{site}/a.png sub/second",
        f"{site}/b%20%C3%BC.png",
        f"{site}/c?key=1\tthird",
        f"{site}/nothing?secret=1",
        "no address",
    ]
    path = tmp_path / "urls.txt"
    path.write_text("\n".join(lines), "utf-8")
    result = import_dataset(workspace, path, "web", private_network=True)
    assert [item.key for item in result.version.items()] == ["a", "b ü", "sub/second", "third"]
    aside = {each.key: each.detail for each in result.report if each.action is FindingType.SKIPPED}
    assert set(aside) == {f"{site}/nothing?…", redact_url("no")}
    assert "404" in aside[f"{site}/nothing?…"]
    with pytest.raises(FormatError, match=r"None of the 6 URLs .* is not a public internet address"):
        import_dataset(workspace, path, "again")
    with pytest.raises(InvalidValueError, match="cannot be linked"):
        import_dataset(workspace, path, "again", link=True, private_network=True)


def test_import_of_one_http_url(site: str, tmp_path: Path, workspace: Workspace) -> None:
    result = import_dataset(workspace, f"{site}/a.png?token=hush", "one", private_network=True)
    assert [item.key for item in result.version.items()] == ["a"]
    (run,) = workspace.runs.list()
    assert "hush" not in str(run.config) + result.version.info.message
