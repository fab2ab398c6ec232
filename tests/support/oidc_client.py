"""A server with single sign-on, its provider process, and browsers that sign in through both."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi.testclient import TestClient
from tests.support.oidc_provider import ANN, CLIENT_ID, CLIENT_SECRET

from saccade.app.auth.oidc.provider import Provider
from saccade.app.auth.oidc.settings import OidcSettings
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.permissions import API
from saccade.server.routes.oidc import CALLBACK_PATH

if TYPE_CHECKING:
    from tests.server.conftest import ServerHarness

REDIRECT_URI = f"http://127.0.0.1:8080{CALLBACK_PATH}"


@dataclass
class ProviderProcess:
    """A running ``oidc_provider.py``."""

    issuer: str
    process: subprocess.Popen[str]

    def configure(self, **config: Any) -> None:
        """Replace the configuration; without arguments the provider behaves correctly."""
        response = httpx.put(f"{self.issuer}/configure", json={"redirect_uri": REDIRECT_URI, **config})
        assert response.status_code == 204

    def requests(self, path: str) -> list[dict[str, Any]]:
        """Return the requests to a path since the last configuration."""
        return [request for request in httpx.get(f"{self.issuer}/requests").json() if request["path"] == path]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def start_provider(*certificate: Path) -> ProviderProcess:
    """Start a provider, by TLS if a file with a certificate and its key is given."""
    command = [sys.executable, str(Path(__file__).with_name("oidc_provider.py")), *map(str, certificate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    scheme = "https" if certificate else "http"
    return ProviderProcess(f"{scheme}://127.0.0.1:{process.stdout.readline().strip()}", process)


@dataclass
class SsoHarness:
    """A server and a provider, and browsers that sign in through both."""

    server: ServerHarness
    provider: ProviderProcess

    def configure_server(self, **settings: Any) -> None:
        """Create the application again, with other settings of single sign-on."""
        defaults = {
            "issuer": self.provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "name": "Company",
            "default_role": None,
            "allowed_domains": (),
        }
        provider = Provider(OidcSettings(**{**defaults, **settings}))
        self.server.app = create_app(self.server.workspace, provider=provider)

    def authorize(self, client: TestClient, path: str = "/") -> str:
        """Start a login and go through the provider; returns the URL that it redirects the browser back to."""
        started = client.post(f"{API}/session/oidc", json={"next": path})
        assert started.status_code == 200, started.text
        response = httpx.get(started.json()["address"])
        assert response.status_code == 302, response.text
        return str(response.headers["location"])

    def sign_in(self, client: TestClient, path: str = "/") -> Any:
        """Sign in with the provider; returns the response of the callback."""
        return client.get(self.authorize(client, path), follow_redirects=False)

    def fail_sign_in(self, client: TestClient | None = None) -> str:
        """Sign in, check that it fails, and return the reason."""
        browser = client or self.server.client()
        response = self.sign_in(browser)
        assert response.status_code == 303
        assert browser.get(f"{API}/session").status_code == 401
        return failure_reason(response)

    def invite(self, role: Role = Role.ANNOTATOR, email: str = ANN["email"]) -> str:
        """Invite a user; returns the secret of the link."""
        return self.server.workspace.users.invite(email, role, self.server.owner)[1]


def failure_reason(response: Any) -> str:
    """Return the reason that a redirect to the sign-in page states, "" if none."""
    url = urlsplit(response.headers["location"])
    assert url.path == "/sign-in"
    assert url.netloc == ""
    return str(parse_qs(url.query).get("error", [""])[0])
