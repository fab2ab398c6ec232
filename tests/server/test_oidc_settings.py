"""Settings of single sign-on, and a server without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Site

from saccade.app.auth.oidc.settings import SECRET as VARIABLE
from saccade.app.auth.oidc.settings import settings_of
from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role
from saccade.server.permissions import API
from saccade.server.routes.oidc import BACK

# Settings


def test_a_server_without_a_provider(site: Site) -> None:
    client = site.client()
    assert client.get(f"{API}/session/ways").json() == {"provider": None, "connecting": None}
    assert client.post(f"{API}/session/oidc", json={}).status_code == 404
    assert client.get(BACK).status_code == 404


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"issuer": "http://example.org"}, "no address with https"),
        ({"issuer": "example.org"}, "no address with https"),
        ({"issuer": "https://user:word@example.org"}, "no address with https"),
        ({"issuer": "https://example.org/?a=b"}, "no issuer"),
        ({"issuer": "https://example.org/" + "x" * 300}, "no issuer"),
        ({"client": ""}, "no name for this server"),
        ({"role": Role.OWNER}, "would be an owner"),
        ({"domains": ["example.org"]}, "says for whom"),
        ({"domains": ["a@b"], "role": Role.VIEWER}, "a domain is as"),
        ({"secret_file": Path("/nowhere/secret")}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_right(given: dict[str, Any], match: str) -> None:
    issuer, client = given.pop("issuer", "https://example.org"), given.pop("client", "x")
    with pytest.raises(InvalidValueError, match=match):
        settings_of(issuer, client, **given)


def test_where_the_secret_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(VARIABLE, "from the environment\n")
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    assert settings_of("https://example.org", "x", secret_file=file).secret == "from a file"
    assert VARIABLE not in os.environ, "jobs, which begin later, cannot read it"
    monkeypatch.setenv(VARIABLE, "from the environment\n")
    found = settings_of("http://[::1]:9000", "x")
    assert (found.secret, found.name) == ("from the environment", "::1")
    file.write_text("\n")
    with pytest.raises(InvalidValueError, match="no secret"):
        settings_of("https://example.org", "x", secret_file=file)


def test_a_server_without_it_does_not_load_it(tmp_path: Path) -> None:
    program = (
        "import sys; from saccade.store.workspace import Workspace; from saccade.server.app import create_app;"
        f"create_app(Workspace.create({str(tmp_path)!r})); print(','.join(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"authlib", "joserfc", "httpx"}.isdisjoint(ran.stdout.strip().split(","))
