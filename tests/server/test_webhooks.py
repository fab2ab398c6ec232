"""Webhooks in the HTTP API and on the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import ServerHarness, error_of
from tests.support.command import Command
from tests.support.http_receiver import Receiver, answering, until

import saccade
from saccade.app.webhooks.sender import WebhookSender
from saccade.core.roles import Role
from saccade.core.webhooks.events import EVENTS
from saccade.server.app import create_app
from saccade.server.permissions import API
from saccade.store.workspace import Workspace

URL = "https://8.8.8.8/webhook"


@pytest.fixture
def owner(server: ServerHarness) -> TestClient:
    return server.signed_in(Role.OWNER)


@pytest.fixture
def receiver(server: ServerHarness) -> Iterator[Receiver]:
    """A receiver on this machine, with private addresses allowed."""
    server.app.state.allow_private = True
    sender = WebhookSender(server.workspace, allow_private=True)
    with Receiver() as receiver:
        sender.start()
        yield receiver
        sender.stop()
        sender.join(10)


def test_lifecycle(server: ServerHarness, owner: TestClient, receiver: Receiver) -> None:
    body = {"url": receiver.url, "events": ["member.joined", "dataset.version"]}
    webhook = owner.post(f"{API}/webhooks", json=body).json()
    secret = webhook.pop("secret")
    path = f"{API}/webhooks/{webhook['id']}"
    assert (webhook["events"], webhook["enabled"], webhook["author"]) == (
        ["dataset.version", "member.joined"],
        True,
        "Owner",
    )
    assert owner.get(path).json() == webhook
    assert owner.get(f"{API}/webhooks").json() == [webhook]
    changed = owner.post(f"{API}/datasets/harbour/restore", json={"number": 1})
    assert changed.status_code == 201
    server.create_user(Role.VIEWER)
    until(lambda: len(receiver.got) == 2)
    first, second = (saccade.verify_webhook(entry.body, entry.headers, secret) for entry in receiver.got)
    assert (first["type"], first["data"]["ref"], first["data"]["author"]) == ("dataset.version", "harbour@2", "Owner")
    assert (second["type"], second["data"]["email"]) == ("member.joined", "viewer@example.org")
    until(lambda: owner.get(path).json()["pending"] == 0)
    page = owner.get(f"{path}/deliveries", params={"limit": 1}).json()
    assert [entry["event"] for entry in page["deliveries"]] == ["member.joined"]
    rest = owner.get(f"{path}/deliveries", params={"before": page["next"]}).json()
    (delivery,) = rest["deliveries"]
    assert (delivery["state"], delivery["status"], delivery["attempts"]) == ("delivered", 204, 1)
    assert (delivery["id"], delivery["body"].encode()) == (receiver.got[0].id, receiver.got[0].body)
    assert owner.post(f"{path}/deliveries/{delivery['id']}/retry").json()["state"] == "pending"
    assert owner.post(f"{path}/deliveries/retry").json() == {"count": 0}
    until(lambda: len(receiver.got) == 3)
    assert receiver.got[2].id == receiver.got[0].id
    receiver.usual = answering(404)
    sent = owner.post(f"{path}/test")
    assert (sent.status_code, sent.json()["event"]) == (201, "ping")
    until(lambda: owner.get(f"{path}/deliveries").json()["deliveries"][0]["state"] == "failed")
    off = owner.patch(path, json={"enabled": False, "events": ["job.failed"]}).json()
    assert (off["enabled"], off["events"], off["url"]) == (False, ["job.failed"], receiver.url)
    assert error_of(owner.post(f"{path}/test")) == "conflict"
    assert owner.delete(path).status_code == 204
    assert owner.get(f"{API}/webhooks").json() == []
    assert owner.get(path).status_code == 404


def test_private_addresses_are_refused_by_default(server: ServerHarness, owner: TestClient) -> None:
    webhook = owner.post(f"{API}/webhooks", json={"url": URL}).json()
    assert webhook["events"] == list(EVENTS)
    for url in ("http://127.0.0.1:9/x", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/", "x"):
        for answer in (
            owner.post(f"{API}/webhooks", json={"url": url}),
            owner.patch(f"{API}/webhooks/{webhook['id']}", json={"url": url}),
        ):
            assert answer.status_code == 422, url
            assert error_of(answer) == "invalid-value"
    assert [entry["url"] for entry in owner.get(f"{API}/webhooks").json()] == [URL]
    permissive = TestClient(create_app(server.workspace, allow_private=True), base_url="http://127.0.0.1:8080")
    permissive.cookies, permissive.headers = owner.cookies, owner.headers
    assert permissive.post(f"{API}/webhooks", json={"url": "http://127.0.0.1:9/x"}).status_code == 201


def test_secrets_are_shown_once_and_not_logged(
    owner: TestClient, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        webhook = owner.post(f"{API}/webhooks", json={"url": receiver.url}).json()
        path = f"{API}/webhooks/{webhook['id']}"
        rotated = owner.post(f"{path}/secret").json()
        owner.post(f"{path}/test")
        until(lambda: receiver.got)
        owner.patch(path, json={"enabled": False})
        answers = [owner.get(url).text for url in (f"{API}/webhooks", path, f"{path}/deliveries", f"{API}/audit")]
    secrets = [webhook["secret"], rotated["secret"]]
    assert len(set(secrets)) == 2
    for secret in secrets:
        assert saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, secret)
        assert secret not in "".join(answers)
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": URL, "events": []},
        {"url": URL, "events": ["dataset"]},
        {"url": URL, "events": ["ping"]},
        {"url": URL, "secret": "mine"},
        {"url": "https://8.8.8.8/" + "x" * 2000},
        {"url": "https://ann:secret@8.8.8.8/"},
    ],
)
def test_invalid_webhooks(owner: TestClient, body: dict[str, object]) -> None:
    answer = owner.post(f"{API}/webhooks", json=body)
    assert (answer.status_code, error_of(answer)) == (422, "invalid-value")


@pytest.mark.parametrize("role", [Role.MANAGER, Role.VIEWER])
def test_webhooks_require_an_owner(server: ServerHarness, role: Role) -> None:
    """A webhook keeps sending data out after its creator has left, so managers may not create one."""
    client = server.signed_in(role)
    assert client.get(f"{API}/webhooks").status_code == 403
    assert client.post(f"{API}/webhooks", json={"url": URL}).status_code == 403


def test_commands(command: Command) -> None:
    with Receiver() as receiver, Workspace.open(command.workspace) as workspace:
        sender = WebhookSender(workspace, allow_private=True)
        sender.start()
        assert "no webhooks yet" in command("webhooks", "list").text
        command.fails("webhooks", "add", receiver.url, code="invalid-value")
        events = ("--event", "dataset.removed", "--event", "model.alias")
        webhook = command.json("webhooks", "add", receiver.url, "--private-network", *events)
        assert webhook["events"] == ["dataset.removed", "model.alias"]
        listed = command("webhooks", "list")
        assert all(part in listed.text for part in (webhook["id"], receiver.url, "enabled", "model.alias"))
        assert webhook["secret"] not in listed.out + command("webhooks", "list", "--json").out
        assert "Delivered: status 204" in command("webhooks", "test", webhook["id"]).text
        assert (
            saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, webhook["secret"])["type"] == "ping"
        )
        (delivery,) = command.json("webhooks", "deliveries", webhook["id"])
        assert (delivery["state"], delivery["status"]) == ("delivered", 204)
        assert delivery["id"] in command("webhooks", "deliveries", webhook["id"]).text
        assert command.json("webhooks", "redeliver", webhook["id"], delivery["id"])["state"] == "pending"
        assert command.json("webhooks", "redeliver", webhook["id"], "--failed") == {"count": 0}
        until(lambda: len(receiver.got) == 2)
        rotated = command("webhooks", "rotate-secret", webhook["id"]).out.strip()
        assert rotated.startswith("whsec_")
        receiver.usual = answering(500)
        command.fails("webhooks", "test", webhook["id"], code="error")
        assert command.json("webhooks", "set", webhook["id"], "--off")["enabled"] is False
        command.fails("webhooks", "test", webhook["id"], code="conflict")
        changed = command.json("webhooks", "set", webhook["id"], "--on", "--event", "run.failed")
        assert (changed["enabled"], changed["events"]) == (True, ["run.failed"])
        command.fails("webhooks", "set", webhook["id"], "--event", "run.done", code="invalid-value")
        command.fails("webhooks", "deliveries", "nothing", code="not-found")
        assert command("webhooks", "rm", webhook["id"]).code == 0
        assert command.json("webhooks", "list") == []
        sender.stop()
        sender.join(10)
