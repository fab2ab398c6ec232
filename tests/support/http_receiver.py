"""Somebody who is told by webhooks: a real HTTP server, which does as it is told and keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return json.loads(self.body)


Act = Callable[[BaseHTTPRequestHandler], None]


def answering(status: int, **headers: str) -> Act:
    """Answer with a number."""

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name, value)
        request.end_headers()

    return act


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of connections that break: tests break them."""


@dataclass
class Receiver:
    """Does with each request the next of ``acts``, and with all later ones ``usual``."""

    usual: Act = field(default_factory=lambda: answering(204))
    acts: list[Act] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # who sent it was killed on the way
                receiver.got.append(Got(self.path, dict(self.headers), body))
                (receiver.acts.pop(0) if receiver.acts else receiver.usual)(self)

            def do_GET(self) -> None:
                receiver.got.append(Got(self.path, dict(self.headers), b"GET"))
                answering(200)(self)

        self.server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/told"

    @property
    def told(self) -> list[tuple[str, Any]]:
        """The events that came, each once, in the order of their first coming."""
        return [(one.event["type"], one.event["data"]) for one in {one.id: one for one in reversed(self.got)}.values()][
            ::-1
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def until(look: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)
