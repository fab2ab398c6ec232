"""Webhooks by HTTP and at the terminal: added, tried, followed, changed; secrets shown once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import Site, error_of
from tests.support.command import Command
from tests.support.http_receiver import Receiver, answering, until

import saccade
from saccade.app.webhooks.sender import Deliverer
from saccade.core.roles import Role
from saccade.core.webhooks.events import EVENTS
from saccade.server.app import create_app
from saccade.server.permissions import API
from saccade.store.workspace import Workspace

URL = "https://8.8.8.8/told"


@pytest.fixture
def owner(site: Site) -> TestClient:
    return site.signed_in(Role.OWNER)


@pytest.fixture
def receiver(site: Site) -> Iterator[Receiver]:
    """Somebody on this machine, whom this server may tell."""
    site.app.state.private = True
    sends = Deliverer(site.workspace, private=True)
    with Receiver() as made:
        sends.start()
        yield made
        sends.stop()
        sends.join(10)


def test_from_adding_to_removing(site: Site, owner: TestClient, receiver: Receiver) -> None:
    given = {"url": receiver.url, "events": ["person.joined", "dataset.version"]}
    made = owner.post(f"{API}/webhooks", json=given).json()
    secret, place = made.pop("secret"), f"{API}/webhooks/{made['id']}"
    assert (made["events"], made["is_on"], made["author"]) == (["dataset.version", "person.joined"], True, "Owner")
    assert owner.get(place).json() == made
    assert owner.get(f"{API}/webhooks").json() == [made]
    changed = owner.post(f"{API}/datasets/harbour/restore", json={"number": 1})
    assert changed.status_code == 201
    site.person(Role.VIEWER)
    until(lambda: len(receiver.got) == 2)
    first, second = (saccade.verify_webhook(one.body, one.headers, secret) for one in receiver.got)
    assert (first["type"], first["data"]["ref"], first["data"]["author"]) == ("dataset.version", "harbour@2", "Owner")
    assert (second["type"], second["data"]["email"]) == ("person.joined", "viewer@example.org")
    until(lambda: owner.get(place).json()["waiting"] == 0)
    page = owner.get(f"{place}/deliveries", params={"limit": 1}).json()
    assert [one["event"] for one in page["deliveries"]] == ["person.joined"]
    rest = owner.get(f"{place}/deliveries", params={"before": page["next"]}).json()
    (delivery,) = rest["deliveries"]
    assert (delivery["state"], delivery["status"], delivery["attempts"]) == ("delivered", 204, 1)
    assert (delivery["id"], delivery["body"].encode()) == (receiver.got[0].id, receiver.got[0].body)
    assert owner.post(f"{place}/deliveries/{delivery['id']}/again").json()["state"] == "waiting"
    assert owner.post(f"{place}/deliveries/again").json() == {"count": 0}
    until(lambda: len(receiver.got) == 3)
    assert receiver.got[2].id == receiver.got[0].id
    receiver.usual = answering(404)
    sent = owner.post(f"{place}/test")
    assert (sent.status_code, sent.json()["event"]) == (201, "ping")
    until(lambda: owner.get(f"{place}/deliveries").json()["deliveries"][0]["state"] == "failed")
    off = owner.patch(place, json={"is_on": False, "events": ["job.failed"]}).json()
    assert (off["is_on"], off["events"], off["url"]) == (False, ["job.failed"], receiver.url)
    assert error_of(owner.post(f"{place}/test")) == "conflict"
    assert owner.delete(place).status_code == 204
    assert owner.get(f"{API}/webhooks").json() == []
    assert owner.get(place).status_code == 404


def test_addresses_inside_are_refused_where_the_server_was_not_told_to(site: Site, owner: TestClient) -> None:
    hook = owner.post(f"{API}/webhooks", json={"url": URL}).json()
    assert hook["events"] == list(EVENTS)
    for url in ("http://127.0.0.1:9/x", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/", "x"):
        for answer in (
            owner.post(f"{API}/webhooks", json={"url": url}),
            owner.patch(f"{API}/webhooks/{hook['id']}", json={"url": url}),
        ):
            assert answer.status_code == 422, url
            assert error_of(answer) == "invalid-value"
    assert [one["url"] for one in owner.get(f"{API}/webhooks").json()] == [URL]
    may = TestClient(create_app(site.workspace, private=True), base_url="http://127.0.0.1:8080")
    may.cookies, may.headers = owner.cookies, owner.headers
    assert may.post(f"{API}/webhooks", json={"url": "http://127.0.0.1:9/x"}).status_code == 201


def test_secrets_are_shown_once_and_in_no_log(
    owner: TestClient, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = owner.post(f"{API}/webhooks", json={"url": receiver.url}).json()
        place = f"{API}/webhooks/{made['id']}"
        renewed = owner.post(f"{place}/secret").json()
        owner.post(f"{place}/test")
        until(lambda: receiver.got)
        owner.patch(place, json={"is_on": False})
        answers = [owner.get(path).text for path in (f"{API}/webhooks", place, f"{place}/deliveries", f"{API}/audit")]
    secrets = [made["secret"], renewed["secret"]]
    assert len(set(secrets)) == 2
    for secret in secrets:
        assert saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, secret)
        assert secret not in "".join(answers)
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "given",
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
def test_what_is_wrong_is_said(owner: TestClient, given: dict[str, object]) -> None:
    answer = owner.post(f"{API}/webhooks", json=given)
    assert (answer.status_code, error_of(answer)) == (422, "invalid-value")


@pytest.mark.parametrize("role", [Role.MANAGER, Role.VIEWER])
def test_they_are_for_owners(site: Site, role: Role) -> None:
    """They go on telling after whoever added them has left: it is not for managers to let things out for good."""
    somebody = site.signed_in(role)
    assert somebody.get(f"{API}/webhooks").status_code == 403
    assert somebody.post(f"{API}/webhooks", json={"url": URL}).status_code == 403


def test_at_the_terminal(command: Command) -> None:
    with Receiver() as receiver, Workspace.open(command.workspace) as workspace:
        sends = Deliverer(workspace, private=True)
        sends.start()
        assert "none yet" in command("webhooks", "list").text
        command.fails("webhooks", "add", receiver.url, code="invalid-value")
        told = ("--event", "dataset.removed", "--event", "model.alias")
        made = command.json("webhooks", "add", receiver.url, "--private-network", *told)
        assert made["events"] == ["dataset.removed", "model.alias"]
        listed = command("webhooks", "list")
        assert all(part in listed.text for part in (made["id"], receiver.url, "on", "model.alias"))
        assert made["secret"] not in listed.out + command("webhooks", "list", "--json").out
        assert "It was accepted: 204" in command("webhooks", "test", made["id"]).text
        assert saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, made["secret"])["type"] == "ping"
        (delivery,) = command.json("webhooks", "deliveries", made["id"])
        assert (delivery["state"], delivery["status"]) == ("delivered", 204)
        assert delivery["id"] in command("webhooks", "deliveries", made["id"]).text
        assert command.json("webhooks", "again", made["id"], delivery["id"])["state"] == "waiting"
        assert command.json("webhooks", "again", made["id"], "--failed") == {"count": 0}
        until(lambda: len(receiver.got) == 2)
        renewed = command("webhooks", "renew", made["id"]).out.strip()
        assert renewed.startswith("whsec_")
        receiver.usual = answering(500)
        command.fails("webhooks", "test", made["id"], code="error")
        assert command.json("webhooks", "set", made["id"], "--off")["is_on"] is False
        command.fails("webhooks", "test", made["id"], code="conflict")
        changed = command.json("webhooks", "set", made["id"], "--on", "--event", "run.failed")
        assert (changed["is_on"], changed["events"]) == (True, ["run.failed"])
        command.fails("webhooks", "set", made["id"], "--event", "run.done", code="invalid-value")
        command.fails("webhooks", "deliveries", "nothing", code="not-found")
        assert command("webhooks", "rm", made["id"]).code == 0
        assert command.json("webhooks", "list") == []
        sends.stop()
        sends.join(10)
