"""Webhooks over HTTP: receivers that behave and that do not, and addresses that nothing is sent to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.store.conftest import SCHEMA, item
from tests.support.http_receiver import Act, Receiver, answering, until

import saccade
from saccade.app.net import safe_http
from saccade.app.webhooks.sender import Deliverer, Limits, deliver
from saccade.app.webhooks.webhooks import add_webhook, change_webhook, try_webhook
from saccade.core.errors import ConflictError, InvalidValueError, SaccadeError, SignatureError
from saccade.core.webhooks.signing import new_secret
from saccade.store.webhooks.delivery_queue import Sending
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow

LIMITS = Limits(seconds=1.0)
SECRET = new_secret()


def sending(url: str) -> Sending:
    return Sending("msg_1", "ping", url, '{"type":"ping"}', (SECRET,), 1, "x~1~1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Any) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as made:
        yield made


@pytest.fixture
def delivering(workspace: Workspace) -> Iterator[None]:
    made = Deliverer(workspace, private=True, limits=LIMITS)
    made.start()
    yield
    made.stop()
    made.join(5)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then: never silent for long, and never done."""
    with suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400:
            request.connection.sendall(bytes([byte]))
            time.sleep(0.05)


def endless(request: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            request.connection.sendall(bytes(1 << 16))


def going_on(request: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        while True:
            request.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def saying_nothing(request: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def closing(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.connection.sendall(b"\x00\xffhello\r\n\r\n")


def headers_without_end(request: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n")


@pytest.mark.parametrize(
    ("act", "status", "error"),
    [
        (answering(200), 200, ""),
        (answering(204), 204, ""),
        (answering(299), 299, ""),
        (endless, 200, ""),
        (answering(301, Location="/other"), 301, "The answer was 301"),
        (answering(307, Location="http://127.0.0.1:1/"), 307, "The answer was 307"),
        (answering(404), 404, "The answer was 404"),
        (answering(410), 410, "The answer was 410 Gone."),
        (answering(500), 500, "The answer was 500"),
        (trickling, None, "no answer within 1 seconds"),
        (going_on, None, "no answer within 1 seconds"),
        (saying_nothing, None, "no answer within 1 seconds"),
        (closing, None, "There was no answer"),
        (no_http, None, "There was no answer"),
        (headers_without_end, None, "There was no answer: got more than 100 headers"),
    ],
)
def test_how_an_attempt_goes(receiver: Receiver, act: Act, status: int | None, error: str) -> None:
    receiver.usual = act
    began = time.monotonic()
    outcome = deliver(sending(receiver.url), private=True, limits=LIMITS)
    assert time.monotonic() - began < 3 * LIMITS.seconds
    assert outcome.status == status
    assert error in outcome.error
    assert bool(error) == bool(outcome.error), outcome
    assert outcome.is_gone == (status == 410)
    assert len(receiver.got) == 1, "a redirect is not followed"


@pytest.mark.parametrize(
    ("status", "after", "least", "most"),
    [
        (503, "120", 120, 120),
        (429, " 7 ", 7, 7),
        (503, 3600, 3000, 3600),
        (503, -3600, 0, 0),
        (503, "soon", 0, 0),
        (503, "-5", 0, 0),
        (503, "9" * 90, 0, 0),
        (503, "①", 0, 0),
        (500, "120", 0, 0),
    ],
)
def test_how_long_one_is_asked_to_wait(
    receiver: Receiver, status: int, after: str | int, least: int, most: int
) -> None:
    """Until a time, which is so many seconds from now, or for what the text says."""
    said = after if isinstance(after, str) else formatdate(time.time() + after, usegmt=True)
    receiver.usual = answering(status, **{"Retry-After": said.encode().decode("latin-1")})
    outcome = deliver(sending(receiver.url), private=True, limits=LIMITS)
    assert outcome.status == status
    assert least <= outcome.wait.total_seconds() <= most


def test_nobody_is_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    outcome = deliver(sending(f"http://127.0.0.1:{port}/"), private=True, limits=LIMITS)
    assert (outcome.status, "cannot be reached" in outcome.error) == (None, True)
    unknown = deliver(sending("http://nowhere.invalid/"), private=True, limits=LIMITS)
    assert "not known" in unknown.error


def test_who_has_no_certificate_is_sent_nothing(receiver: Receiver) -> None:
    outcome = deliver(sending(receiver.url.replace("http:", "https:")), private=True, limits=LIMITS)
    assert "no secure connection" in outcome.error
    assert receiver.got == []


def test_a_secure_connection_that_is_never_made_ends_in_time() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        outcome = deliver(sending(url), private=True, limits=LIMITS)
    assert outcome.error == "There was no answer within 1 seconds."
    assert outcome.took < 3000


INSIDE = (
    "127.0.0.1",
    "localhost",
    "[::1]",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "[::]",
    "[::ffff:7f00:1]",
    "①②⑦.⓪.⓪.①",
)


@pytest.mark.parametrize("host", INSIDE)
def test_nothing_is_sent_inside(receiver: Receiver, workspace: Workspace, host: str) -> None:
    url = f"http://{host}:{receiver.server.server_port}/"
    outcome = deliver(sending(url), limits=LIMITS)
    assert outcome.status is None
    assert "no address of the public internet" in outcome.error or "not known" in outcome.error
    with pytest.raises(SaccadeError, match=r"no address of the public internet|not known"):
        add_webhook(workspace, url)
    assert receiver.got == []
    assert workspace.webhooks.list() == []


def test_a_name_that_changes_what_it_leads_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public when it was added and when it is judged, and inside when it is connected to: it is looked up once."""
    port = receiver.server.server_port
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])

    def look_up(host: str, number: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, number)) for address in next(answers)]

    connected: list[str] = []

    def connect_to(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect_to)
    assert "cannot be reached" in deliver(sending(f"http://hooks.example:{port}/"), limits=LIMITS).error
    assert connected == ["93.184.216.34"]
    assert "no address of the public" in deliver(sending(f"http://hooks.example:{port}/"), limits=LIMITS).error
    assert connected == ["93.184.216.34"]
    assert receiver.got == []


def test_a_name_of_many_addresses_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "_addresses", lambda host, port: ["127.0.0.1"] * 50)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: _too_slow(timeout))
    outcome = deliver(sending("http://hooks.example/"), private=True, limits=LIMITS)
    assert outcome.took < 3000
    assert outcome.error


def _too_slow(timeout: float) -> socket.socket:
    time.sleep(min(timeout, 0.3))
    raise TimeoutError("timed out")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org/x", "no address of the web"),
        ("example.org", "no address of the web"),
        ("http://", "no address of the web"),
        ("http://a b/", "no address of the web"),
        ("http://a/\r\nX: y", "no address of the web"),
        ("http://ann:secret@8.8.8.8/", "no name and no password"),
        ("http://8.8.8.8/#part", "never sent"),
        ("file:///etc/passwd", "no address of the web"),
        ("", "no address"),
        ("http://[::1", "no address"),
    ],
)
def test_what_is_no_address_is_refused(workspace: Workspace, url: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        add_webhook(workspace, url)
    made, _ = add_webhook(workspace, "https://8.8.8.8/told?key=1")
    with pytest.raises(InvalidValueError, match=message):
        change_webhook(workspace, made.id, url=url)
    assert workspace.webhooks.get(made.id).url == "https://8.8.8.8/told?key=1"


def test_what_arrives_is_signed(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    hook, secret = add_webhook(workspace, receiver.url + "?team=größe", private=True)
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create", message='größe "\x00" \U0001f600')
    until(lambda: receiver.got)
    (got,) = receiver.got
    assert got.path == "/told?team=gr%C3%B6%C3%9Fe"
    assert got.headers["Content-Type"] == "application/json"
    event = saccade.verify_webhook(got.body, got.headers, secret)
    assert (event["type"], event["project"], event["data"]["ref"]) == ("dataset.version", "default", "d@1")
    assert event["data"]["message"] == 'größe "\x00" \U0001f600'
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    with pytest.raises(SignatureError, match="not that of this body"):
        saccade.verify_webhook(got.body.replace(b"d@1", b"d@2"), got.headers, secret)
    with pytest.raises(SignatureError, match="seconds from now"):
        saccade.verify_webhook(got.body, got.headers, secret, now=time.time() + 301)
    until(lambda: workspace.webhooks.deliveries(hook.id)[0].state == "delivered")
    (row,) = workspace.webhooks.deliveries(hook.id)
    assert (row.status, row.attempts, row.error, row.id) == (204, 1, "", got.id)


def test_a_receiver_that_comes_back(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    """Errors, and then it accepts: the same delivery, the same body, everything once, and in order."""
    receiver.acts = [answering(500), answering(503)]
    hook, secret = add_webhook(workspace, receiver.url, ["dataset.version"], private=True)
    for number in range(4):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    until(lambda: len(receiver.got) == 1)
    until(lambda: workspace.webhooks.deliveries(hook.id)[-1].state == "waiting")
    assert workspace.webhooks.get(hook.id).failing_since is not None
    until(lambda: len(receiver.got) == 2, 20)
    until(lambda: workspace.webhooks.deliveries(hook.id)[-1].attempts == 2)
    until(lambda: workspace.webhooks.deliveries(hook.id)[-1].state == "waiting")
    workspace.webhooks.again(hook.id, receiver.got[0].id)  # whoever cannot wait asks for it
    until(lambda: len(receiver.got) == 6)
    assert len({(one.id, one.body) for one in receiver.got[:3]}) == 1
    assert [one.event["data"]["number"] for one in receiver.got] == [1, 1, 1, 2, 3, 4]
    assert len({one.headers["webhook-id"] for one in receiver.got}) == 4
    for one in receiver.got:
        saccade.verify_webhook(one.body, one.headers, secret)


def test_a_slow_receiver_does_not_hold_up_others(workspace: Workspace, receiver: Receiver) -> None:
    held = threading.Event()
    with Receiver(usual=lambda request: (held.wait(20), answering(200)(request))[1]) as slow:
        for one in (slow, receiver):
            add_webhook(workspace, one.url, ["dataset.version"], private=True)
        made = Deliverer(workspace, private=True, limits=Limits(seconds=15))
        made.start()
        try:
            for number in range(3):
                workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
            until(lambda: len(receiver.got) == 3)
            assert len(slow.got) == 1
            held.set()
            until(lambda: len(slow.got) == 3)
        finally:
            made.stop()
            made.join(10)


def test_trying_one(workspace: Workspace, receiver: Receiver) -> None:
    hook, secret = add_webhook(workspace, receiver.url, ["model.alias"], private=True)
    with pytest.raises(ConflictError, match="No worker has sent it yet"):
        try_webhook(workspace, hook.id, 0)
    made = Deliverer(workspace, private=True, limits=LIMITS)
    made.start()
    try:
        until(lambda: receiver.got)
        assert try_webhook(workspace, hook.id, 30).status == 204
        assert saccade.verify_webhook(receiver.got[-1].body, receiver.got[-1].headers, secret)["type"] == "ping"
        receiver.usual = answering(404)
        with pytest.raises(SaccadeError, match=r"not accepted\. The answer was 404"):
            try_webhook(workspace, hook.id, 30)
        workspace.webhooks.change(hook.id, is_on=False)
        with pytest.raises(ConflictError, match="switched off"):
            try_webhook(workspace, hook.id, 30)
    finally:
        made.stop()
        made.join(5)


def test_a_deliverer_that_may_not_send_inside_does_not(workspace: Workspace, receiver: Receiver) -> None:
    """Also where it was added with leave."""
    hook, _ = add_webhook(workspace, receiver.url, private=True)
    made = Deliverer(workspace)
    made.start()
    try:
        workspace.webhooks.test(hook.id)
        until(lambda: workspace.webhooks.deliveries(hook.id)[0].state == "failed")
        assert "no address of the public internet" in workspace.webhooks.deliveries(hook.id)[0].error
        assert receiver.got == []
    finally:
        made.stop()
        made.join(5)


def test_bodies_are_sent_as_they_are_kept(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    hook, _ = add_webhook(workspace, receiver.url, private=True)
    workspace.webhooks.test(hook.id)
    until(lambda: receiver.got)
    (row,) = workspace.webhooks.deliveries(hook.id)
    assert receiver.got[0].body.decode() == row.body
    assert json.loads(row.body)["type"] == "ping"
