"""Settings of single sign-on, and a server without a provider."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import ServerHarness

from saccade.app.auth.oidc.settings import SECRET_VARIABLE as VARIABLE
from saccade.app.auth.oidc.settings import create_settings
from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.permissions import API
from saccade.server.routes.oidc import CALLBACK_PATH


def test_a_server_without_a_provider(server: ServerHarness) -> None:
    client = server.client()
    assert client.get(f"{API}/auth/methods").json() == {"provider": None, "link_email": None}
    assert client.post(f"{API}/session/oidc", json={}).status_code == 404
    assert client.get(CALLBACK_PATH).status_code == 404


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"issuer": "http://example.org"}, "not a valid https:// URL"),
        ({"issuer": "example.org"}, "not a valid https:// URL"),
        ({"issuer": "https://user:word@example.org"}, "not a valid https:// URL"),
        ({"issuer": "https://example.org/?a=b"}, "Invalid issuer"),
        ({"issuer": "https://example.org/" + "x" * 300}, "Invalid issuer"),
        ({"client": ""}, "client id is missing"),
        ({"role": Role.OWNER}, "cannot become owners"),
        ({"domains": ["example.org"]}, "no effect without --oidc-role"),
        ({"domains": ["a@b"], "role": Role.VIEWER}, "Invalid --oidc-domain a@b"),
        ({"secret_file": Path("/nowhere/secret")}, "cannot be read"),
    ],
)
def test_invalid_settings(options: dict[str, Any], match: str) -> None:
    issuer = options.pop("issuer", "https://example.org")
    client = options.pop("client", "x")
    with pytest.raises(InvalidValueError, match=match):
        create_settings(issuer, client, **options)


def test_client_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(VARIABLE, "from the environment\n")
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    assert create_settings("https://example.org", "x", secret_file=file).client_secret == "from a file"
    assert VARIABLE not in os.environ, "jobs, which start later, cannot read it"
    monkeypatch.setenv(VARIABLE, "from the environment\n")
    settings = create_settings("http://[::1]:9000", "x")
    assert (settings.client_secret, settings.name) == ("from the environment", "::1")
    file.write_text("\n")
    with pytest.raises(InvalidValueError, match="is empty"):
        create_settings("https://example.org", "x", secret_file=file)


def test_sso_libraries_are_not_loaded_without_a_provider(tmp_path: Path) -> None:
    program = (
        "import sys; from saccade.store.workspace import Workspace; from saccade.server.app import create_app;"
        f"create_app(Workspace.create({str(tmp_path)!r})); print(','.join(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"authlib", "joserfc", "httpx"}.isdisjoint(ran.stdout.strip().split(","))
