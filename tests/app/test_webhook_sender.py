"""Webhook deliveries over HTTP: good and hostile receivers, private addresses, signatures and retries."""

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
from saccade.app.webhooks.sender import DeliveryLimits, WebhookSender, send_once
from saccade.app.webhooks.webhooks import create_webhook, send_test, update_webhook
from saccade.core.errors import ConflictError, InvalidValueError, SaccadeError, SignatureError
from saccade.core.webhooks.signing import new_secret
from saccade.store.webhooks.delivery_queue import ClaimedDelivery
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow

LIMITS = DeliveryLimits(timeout_s=1.0)
SECRET = new_secret()


def sending(url: str) -> ClaimedDelivery:
    return ClaimedDelivery("msg_1", "ping", url, '{"type":"ping"}', (SECRET,), 1, "x~1~1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Any) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def delivering(workspace: Workspace) -> Iterator[None]:
    sender = WebhookSender(workspace, allow_private=True, limits=LIMITS)
    sender.start()
    yield
    sender.stop()
    sender.join(5)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then: never idle for long, and never done."""
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
        (answering(301, Location="/other"), 301, "The response was 301"),
        (answering(307, Location="http://127.0.0.1:1/"), 307, "The response was 307"),
        (answering(404), 404, "The response was 404"),
        (answering(410), 410, "The response was 410 Gone."),
        (answering(500), 500, "The response was 500"),
        (trickling, None, "No response within 1 seconds"),
        (going_on, None, "No response within 1 seconds"),
        (saying_nothing, None, "No response within 1 seconds"),
        (closing, None, "No response"),
        (no_http, None, "No response"),
        (headers_without_end, None, "No response: got more than 100 headers"),
    ],
)
def test_attempts(receiver: Receiver, act: Act, status: int | None, error: str) -> None:
    receiver.usual = act
    began = time.monotonic()
    outcome = send_once(sending(receiver.url), allow_private=True, limits=LIMITS)
    assert time.monotonic() - began < 3 * LIMITS.timeout_s
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
def test_parse_retry_after(receiver: Receiver, status: int, after: str | int, least: int, most: int) -> None:
    """A date that is some seconds away, or a number of seconds."""
    said = after if isinstance(after, str) else formatdate(time.time() + after, usegmt=True)
    receiver.usual = answering(status, **{"Retry-After": said.encode().decode("latin-1")})
    outcome = send_once(sending(receiver.url), allow_private=True, limits=LIMITS)
    assert outcome.status == status
    assert least <= outcome.retry_after.total_seconds() <= most


def test_connection_refused() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    outcome = send_once(sending(f"http://127.0.0.1:{port}/"), allow_private=True, limits=LIMITS)
    assert (outcome.status, "cannot be reached" in outcome.error) == (None, True)
    unknown = send_once(sending("http://nowhere.invalid/"), allow_private=True, limits=LIMITS)
    assert "not known" in unknown.error


def test_tls_failure(receiver: Receiver) -> None:
    outcome = send_once(sending(receiver.url.replace("http:", "https:")), allow_private=True, limits=LIMITS)
    assert "TLS connection to" in outcome.error
    assert receiver.got == []


def test_tls_handshake_timeout() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        outcome = send_once(sending(url), allow_private=True, limits=LIMITS)
    assert outcome.error == "No response within 1 seconds."
    assert outcome.duration_ms < 3000


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
def test_private_addresses_are_rejected(receiver: Receiver, workspace: Workspace, host: str) -> None:
    url = f"http://{host}:{receiver.server.server_port}/"
    outcome = send_once(sending(url), limits=LIMITS)
    assert outcome.status is None
    assert "not a public internet address" in outcome.error or "cannot be resolved" in outcome.error
    with pytest.raises(SaccadeError, match=r"not a public internet address|cannot be resolved"):
        create_webhook(workspace, url)
    assert receiver.got == []
    assert workspace.webhooks.list() == []


def test_host_name_is_resolved_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against DNS rebinding: a name that is public when checked and private when connected to."""
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
    assert "cannot be reached" in send_once(sending(f"http://hooks.example:{port}/"), limits=LIMITS).error
    assert connected == ["93.184.216.34"]
    assert "not a public internet address" in send_once(sending(f"http://hooks.example:{port}/"), limits=LIMITS).error
    assert connected == ["93.184.216.34"]
    assert receiver.got == []


def test_timeout_with_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "_resolve", lambda host, port: ["127.0.0.1"] * 50)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: _too_slow(timeout))
    outcome = send_once(sending("http://hooks.example/"), allow_private=True, limits=LIMITS)
    assert outcome.duration_ms < 3000
    assert outcome.error


def _too_slow(timeout: float) -> socket.socket:
    time.sleep(min(timeout, 0.3))
    raise TimeoutError("timed out")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org/x", "not a valid HTTP URL"),
        ("example.org", "not a valid HTTP URL"),
        ("http://", "not a valid HTTP URL"),
        ("http://a b/", "not a valid HTTP URL"),
        ("http://a/\r\nX: y", "not a valid HTTP URL"),
        ("http://ann:secret@8.8.8.8/", "user name or password"),
        ("http://8.8.8.8/#part", "never sent"),
        ("file:///etc/passwd", "not a valid HTTP URL"),
        ("", "not a valid HTTP URL"),
        ("http://[::1", "not a valid URL"),
    ],
)
def test_invalid_urls(workspace: Workspace, url: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        create_webhook(workspace, url)
    webhook, _ = create_webhook(workspace, "https://8.8.8.8/told?key=1")
    with pytest.raises(InvalidValueError, match=message):
        update_webhook(workspace, webhook.id, url=url)
    assert workspace.webhooks.get(webhook.id).url == "https://8.8.8.8/told?key=1"


def test_deliveries_are_signed(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    hook, secret = create_webhook(workspace, receiver.url + "?team=größe", allow_private=True)
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
    with pytest.raises(SignatureError, match="does not match"):
        saccade.verify_webhook(got.body.replace(b"d@1", b"d@2"), got.headers, secret)
    with pytest.raises(SignatureError, match="seconds off"):
        saccade.verify_webhook(got.body, got.headers, secret, now=time.time() + 301)
    until(lambda: workspace.webhooks.list_deliveries(hook.id)[0].state == "delivered")
    (row,) = workspace.webhooks.list_deliveries(hook.id)
    assert (row.status, row.attempts, row.error, row.id) == (204, 1, "", got.id)


def test_retries_until_the_receiver_recovers(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    """After errors the same deliveries arrive with the same bodies, once each and in order."""
    receiver.acts = [answering(500), answering(503)]
    hook, secret = create_webhook(workspace, receiver.url, ["dataset.version"], allow_private=True)
    for number in range(4):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    until(lambda: len(receiver.got) == 1)
    until(lambda: workspace.webhooks.list_deliveries(hook.id)[-1].state == "pending")
    assert workspace.webhooks.get(hook.id).failing_since is not None
    until(lambda: len(receiver.got) == 2, 20)
    until(lambda: workspace.webhooks.list_deliveries(hook.id)[-1].attempts == 2)
    until(lambda: workspace.webhooks.list_deliveries(hook.id)[-1].state == "pending")
    workspace.webhooks.redeliver(hook.id, receiver.got[0].id)  # without waiting for the retry
    until(lambda: len(receiver.got) == 6)
    assert len({(request.id, request.body) for request in receiver.got[:3]}) == 1
    assert [request.event["data"]["number"] for request in receiver.got] == [1, 1, 1, 2, 3, 4]
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 4
    for request in receiver.got:
        saccade.verify_webhook(request.body, request.headers, secret)


def test_slow_receiver_does_not_delay_others(workspace: Workspace, receiver: Receiver) -> None:
    held = threading.Event()
    with Receiver(usual=lambda request: (held.wait(20), answering(200)(request))[1]) as slow:
        for target in (slow, receiver):
            create_webhook(workspace, target.url, ["dataset.version"], allow_private=True)
        sender = WebhookSender(workspace, allow_private=True, limits=DeliveryLimits(timeout_s=15))
        sender.start()
        try:
            for number in range(3):
                workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
            until(lambda: len(receiver.got) == 3)
            assert len(slow.got) == 1
            held.set()
            until(lambda: len(slow.got) == 3)
        finally:
            sender.stop()
            sender.join(10)


def test_send_test(workspace: Workspace, receiver: Receiver) -> None:
    hook, secret = create_webhook(workspace, receiver.url, ["model.alias"], allow_private=True)
    with pytest.raises(ConflictError, match="No worker has sent"):
        send_test(workspace, hook.id, 0)
    sender = WebhookSender(workspace, allow_private=True, limits=LIMITS)
    sender.start()
    try:
        until(lambda: receiver.got)
        assert send_test(workspace, hook.id, 30).status == 204
        assert saccade.verify_webhook(receiver.got[-1].body, receiver.got[-1].headers, secret)["type"] == "ping"
        receiver.usual = answering(404)
        with pytest.raises(SaccadeError, match=r"not accepted\. The response was 404"):
            send_test(workspace, hook.id, 30)
        workspace.webhooks.update(hook.id, enabled=False)
        with pytest.raises(ConflictError, match="is disabled"):
            send_test(workspace, hook.id, 30)
    finally:
        sender.stop()
        sender.join(5)


def test_sender_without_private_access(workspace: Workspace, receiver: Receiver) -> None:
    """The sender decides, even if the webhook was created with access to private addresses."""
    hook, _ = create_webhook(workspace, receiver.url, allow_private=True)
    sender = WebhookSender(workspace)
    sender.start()
    try:
        workspace.webhooks.send_test(hook.id)
        until(lambda: workspace.webhooks.list_deliveries(hook.id)[0].state == "failed")
        assert "not a public internet address" in workspace.webhooks.list_deliveries(hook.id)[0].error
        assert receiver.got == []
    finally:
        sender.stop()
        sender.join(5)


def test_stored_bodies_are_sent_unchanged(workspace: Workspace, receiver: Receiver, delivering: None) -> None:
    hook, _ = create_webhook(workspace, receiver.url, allow_private=True)
    workspace.webhooks.send_test(hook.id)
    until(lambda: receiver.got)
    (row,) = workspace.webhooks.list_deliveries(hook.id)
    assert receiver.got[0].body.decode() == row.body
    assert json.loads(row.body)["type"] == "ping"
