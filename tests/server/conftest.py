"""Fixtures: a server in this process, with users of every role."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.support.oidc_client import ProviderProcess, SsoHarness, start_provider

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.dependencies.auth import CSRF_HEADER
from saccade.store.auth.service import Principal
from saccade.store.workspace import Workspace

PASSWORD = "correct horse battery"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as slow: each creates a workspace, a server and users."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)


@dataclass
class ServerHarness:
    """The application, and its clients."""

    workspace: Workspace
    app: FastAPI
    owner: Principal
    clients: list[TestClient] = field(default_factory=list)

    def client(self) -> TestClient:
        """Create a client that is not signed in."""
        client = TestClient(self.app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)
        self.clients.append(client)
        return client

    def create_user(self, role: Role, email: str | None = None) -> str:
        """Create a user with a role; returns the e-mail address."""
        address = email or f"{role}@example.org"
        _, secret = self.workspace.users.invite(address, role, self.owner)
        self.workspace.users.accept_invitation(secret, str(role).title(), PASSWORD)
        return address

    def signed_in(self, role: Role, email: str | None = None) -> TestClient:
        """Create a client that is signed in as a user with a role."""
        address = email or f"{role}@example.org"
        if address not in {user.email for user in self.workspace.users.list()}:
            self.create_user(role, address)
        client = self.client()
        response = client.post("/api/v1/session", json={"email": address, "password": PASSWORD})
        assert response.status_code == 200, response.text
        client.headers[CSRF_HEADER] = response.json()["csrf_token"]
        return client


@pytest.fixture(scope="session")
def _fast_password_hash() -> Iterator[None]:
    """Use Argon2 with cheap parameters: it is slow on purpose."""
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    from saccade.store.auth import service

    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_password_hasher", lambda: cheap)
        service._dummy_password_hash.cache_clear()
        yield


@pytest.fixture(scope="session")
def harbour(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A workspace with a dataset."""
    folder = tmp_path_factory.mktemp("served")
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour")
    return folder


@pytest.fixture
def server(tmp_path: Path, harbour: Path, _fast_password_hash: None) -> Iterator[ServerHarness]:
    """A server of a copy of that workspace, with an owner."""
    shutil.copytree(harbour, tmp_path / "home")
    with Workspace.open(tmp_path / "home") as workspace:
        secret = workspace.users.create_bootstrap_invitation()
        assert secret is not None
        workspace.users.accept_invitation(secret, "Owner", PASSWORD, "owner@example.org")
        _, owner = workspace.users.sign_in("owner@example.org", PASSWORD)
        harness = ServerHarness(workspace, create_app(workspace), owner)
        yield harness
        for client in harness.clients:
            client.close()


@pytest.fixture(scope="session")
def _provider() -> Iterator[ProviderProcess]:
    process = start_provider()
    yield process
    process.stop()


@pytest.fixture
def provider(_provider: ProviderProcess) -> ProviderProcess:
    """A single sign-on provider that behaves correctly until it is configured otherwise."""
    _provider.configure()
    return _provider


@pytest.fixture
def sso(server: ServerHarness, provider: ProviderProcess) -> SsoHarness:
    """A server with single sign-on."""
    harness = SsoHarness(server, provider)
    harness.configure_server()
    return harness


def error_of(response: Any) -> str:
    """Check the format of an error response; returns its code."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "hint", "fields"}
    return str(body["error"]["code"])
