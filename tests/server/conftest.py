"""A server in this process, with somebody of every role."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.server.door import Door, Hostile, started

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.dependencies.auth import GUARD
from saccade.store.auth.service import Caller
from saccade.store.workspace import Workspace

PASSWORD = "correct horse battery"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each makes a workspace, a server and people in it: none of them is quick."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)


@dataclass
class Site:
    """The application, and browsers and programs that ask it."""

    workspace: Workspace
    app: FastAPI
    owner: Caller
    clients: list[TestClient] = field(default_factory=list)

    def client(self) -> TestClient:
        """A browser that nobody has signed in with."""
        made = TestClient(self.app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)
        self.clients.append(made)
        return made

    def person(self, role: Role, email: str | None = None) -> str:
        """Make somebody of a role; their address."""
        address = email or f"{role}@example.org"
        _, secret = self.workspace.people.invite(address, role, self.owner)
        self.workspace.people.accept(secret, str(role).title(), PASSWORD)
        return address

    def signed_in(self, role: Role, email: str | None = None) -> TestClient:
        """A browser of somebody of a role."""
        address = email or f"{role}@example.org"
        if address not in {one.email for one in self.workspace.people.list()}:
            self.person(role, address)
        client = self.client()
        answer = client.post("/api/v1/session", json={"email": address, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers[GUARD] = answer.json()["guard"]
        return client


@pytest.fixture(scope="session")
def _hashing_is_cheap() -> Iterator[None]:
    """Argon2 is slow on purpose; a cheap setting of it is the same but for that."""
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    from saccade.store.auth import service

    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_hasher", lambda: cheap)
        service._nobodys_hash.cache_clear()
        yield


@pytest.fixture(scope="session")
def harbour(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A workspace with a dataset."""
    folder = tmp_path_factory.mktemp("served")
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour")
    return folder


@pytest.fixture
def site(tmp_path: Path, harbour: Path, _hashing_is_cheap: None) -> Iterator[Site]:
    shutil.copytree(harbour, tmp_path / "home")
    with Workspace.open(tmp_path / "home") as workspace:
        secret = workspace.people.first_link()
        assert secret is not None
        workspace.people.accept(secret, "Owner", PASSWORD, "owner@example.org")
        _, owner = workspace.people.sign_in("owner@example.org", PASSWORD)
        made = Site(workspace, create_app(workspace), owner)
        yield made
        for client in made.clients:
            client.close()


@pytest.fixture(scope="session")
def _hostile() -> Iterator[Hostile]:
    """A provider of single sign-on."""
    made = started()
    yield made
    made.end()


@pytest.fixture
def hostile(_hostile: Hostile) -> Hostile:
    """One that is right until it is told to be wrong."""
    _hostile.behave()
    return _hostile


@pytest.fixture
def door(site: Site, hostile: Hostile) -> Door:
    """A server to which people sign in with it."""
    made = Door(site, hostile)
    made.given()
    return made


def error_of(answer: Any) -> str:
    """The word of an error, which has the one shape."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "hint", "fields"}
    return str(body["error"]["code"])
