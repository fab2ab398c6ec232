"""A server, a provider of single sign-on, and browsers that go through both."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi.testclient import TestClient
from tests.server.provider import ANN, CLIENT, SECRET

from saccade.app.auth.oidc.provider import Provider
from saccade.app.auth.oidc.settings import Settings
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.permissions import API
from saccade.server.routes.oidc import BACK

if TYPE_CHECKING:
    from tests.server.conftest import Site

HERE = f"http://127.0.0.1:8080{BACK}"


@dataclass
class Hostile:
    """The provider, and how to tell it what to do."""

    issuer: str
    process: subprocess.Popen[str]

    def behave(self, **how: Any) -> None:
        assert httpx.put(f"{self.issuer}/behave", json={"back": HERE, **how}).status_code == 204

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)

    def asked(self, path: str) -> list[dict[str, Any]]:
        return [one for one in httpx.get(f"{self.issuer}/asked").json() if one["path"] == path]


def started(*certificate: Path) -> Hostile:
    """A provider, by TLS where it is given a file with a certificate and its key."""
    command = [sys.executable, str(Path(__file__).with_name("provider.py")), *map(str, certificate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    scheme = "https" if certificate else "http"
    return Hostile(f"{scheme}://127.0.0.1:{process.stdout.readline().strip()}", process)


@dataclass
class Door:
    """A server with a provider, and browsers that go through both."""

    site: Site
    hostile: Hostile

    def given(self, **more: Any) -> None:
        """Set the server up with other settings."""
        settings = {"issuer": self.hostile.issuer, "client": CLIENT, "secret": SECRET, "name": "Company"}
        self.site.app = create_app(
            self.site.workspace, provider=Provider(Settings(**{**settings, "role": None, "domains": (), **more}))
        )

    def begin(self, client: TestClient, path: str = "/") -> str:
        """Begin, go through the provider, and say where it sends the browser back to."""
        begun = client.post(f"{API}/session/oidc", json={"next": path})
        assert begun.status_code == 200, begun.text
        answer = httpx.get(begun.json()["address"])
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def enter(self, client: TestClient, path: str = "/") -> Any:
        """Sign in with the provider; the answer to the browser that comes back."""
        return client.get(self.begin(client, path), follow_redirects=False)

    def trouble(self, client: TestClient | None = None) -> str:
        """The word of why a sign-in fails; nobody may be in."""
        browser = client or self.site.client()
        answer = self.enter(browser)
        assert answer.status_code == 303
        assert browser.get(f"{API}/session").status_code == 401
        return trouble_in(answer)

    def invite(self, role: Role = Role.ANNOTATOR, email: str = ANN["email"]) -> str:
        return self.site.workspace.people.invite(email, role, self.site.owner)[1]


def trouble_in(answer: Any) -> str:
    place = urlsplit(answer.headers["location"])
    assert place.path == "/sign-in"
    assert place.netloc == ""
    return str(parse_qs(place.query).get("trouble", [""])[0])
