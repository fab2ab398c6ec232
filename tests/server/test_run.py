"""The server as a process: start, first owner, API token, and shutdown; and commands that administer users."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.conftest import PASSWORD
from tests.support.command import Command

from saccade.core.errors import InvalidValueError, WorkspaceError
from saccade.server.run import bind_socket, parse_networks
from saccade.store.workspace import Workspace

_MODULE = ("-m", "saccade")


def start(
    home: Path, *options: str, program: tuple[str, ...] = _MODULE
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, *program, "serve", "--port", "0", "-w", str(home), "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith("}"):
            break
    return process, json.loads(output)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Workspace.create(tmp_path):
        return tmp_path


@pytest.mark.slow
def test_first_owner_and_token(home: Path) -> None:
    process, info = start(home)
    try:
        address, _, secret = info["invitation_link"].partition("/join#")
        assert address == info["address"]
        with httpx.Client(base_url=info["api"]) as browser:
            assert browser.get("/health").json()["status"] == "ok"
            assert browser.get("/datasets").status_code == 401
            owner = {"secret": secret, "name": "Ann", "email": "ann@example.org", "password": PASSWORD}
            joined = browser.post("/invitations/accept", json=owner)
            assert joined.status_code == 201
            csrf_header = {"X-CSRF-Token": joined.json()["csrf_token"]}
            token = browser.post("/tokens", json={"name": "program", "role": "viewer"}, headers=csrf_header).json()
        with httpx.Client(base_url=info["api"], headers={"Authorization": f"Bearer {token['token']}"}) as program:
            assert program.get("/datasets").json() == []
    finally:
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors
    second, info = start(home)
    second.terminate()
    _, errors = second.communicate(timeout=300)
    assert errors == "", "neither the server nor its worker prints errors at the end"
    assert info["invitation_link"] is None, "there is an owner"


@pytest.mark.slow
def test_frozen_objects_are_unfrozen_at_the_end(home: Path) -> None:
    """Otherwise native bindings report leaks at exit, as after the demo, which trains in the same process."""
    program = (
        "import atexit, gc\natexit.register(lambda: print('frozen', gc.get_freeze_count(), flush=True))\n"
        "from saccade.cli.main import main\nmain()"
    )
    process, _ = start(home, program=("-c", program))
    process.terminate()
    output, _ = process.communicate(timeout=300)
    assert output.endswith("frozen 0\n")


def test_nagle_is_disabled() -> None:
    """Otherwise the second part of a small response waits 40 ms for the acknowledgement of the first."""
    with bind_socket("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.slow
def test_unavailable_addresses(home: Path, command: Command) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        command.fails("serve", "--port", port, "-w", str(home), code="conflict")
    command.fails("serve", "--host", "nowhere.invalid", "-w", str(home), code="invalid-value")


def test_invalid_provider_settings(home: Path, command: Command) -> None:
    workspace_option = ("-w", str(home))
    command.fails(
        "serve", "--oidc", "http://example.org", "--oidc-client", "x", *workspace_option, code="invalid-value"
    )
    command.fails("serve", "--oidc", "https://example.org", *workspace_option, code="invalid-value")
    command.fails("serve", "--oidc-role", "viewer", *workspace_option, code="invalid-value")
    options = ("--oidc", "https://example.org", "--oidc-client", "x", "--port", "0")
    command.fails(
        "serve", *options, "--host", "0.0.0.0", "--name", "labels.example.org", *workspace_option, code="invalid-value"
    )


@pytest.mark.usefixtures("_fast_password_hash")
def test_users_commands(home: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.cli.admin import users

    monkeypatch.setattr(users, "_read_password", lambda: PASSWORD)
    workspace_option = ("-w", str(home))
    assert command.json("users", "list", *workspace_option) == []
    command.fails("users", "add", "bob@example.org", *workspace_option, code="conflict")
    command("users", "add", "ann@example.org", "--role", "owner", "--name", "Ann", *workspace_option)
    command("users", "add", "bob@example.org", *workspace_option)
    assert [entry["role"] for entry in command.json("users", "list", *workspace_option)] == ["owner", "annotator"]
    assert command.json("users", "set-role", "bob@example.org", "reviewer", *workspace_option)["role"] == "reviewer"
    token = command("users", "token", "bob@example.org", *workspace_option).out.strip()
    with Workspace.open(home) as workspace:
        principal = workspace.users.authenticate_token(token)
        assert principal is not None
        assert (principal.user.email, principal.role) == ("bob@example.org", "viewer")
    command.fails("users", "rm", "ann@example.org", *workspace_option, code="conflict")
    command("users", "rm", "bob@example.org", *workspace_option)
    assert len(command.json("users", "list", *workspace_option)) == 1
    assert command.json("users", "audit", *workspace_option) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "127.0.0.1"),
        (("--trusted-proxy", "192.0.2.0/24"), "127.0.0.1"),
        (("--trusted-proxy", "127.0.0.0/8"), "203.0.113.9"),
    ],
)
def test_forwarded_addresses_count_only_behind_a_trusted_proxy(
    home: Path, options: tuple[str, ...], expected: str
) -> None:
    process, info = start(home, "--workers", "0", *options)
    try:
        body = {"email": "a@example.org", "password": "wrong password"}
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        assert httpx.post(f"{info['api']}/session", json=body, headers=headers).status_code == 401
    finally:
        process.terminate()
        process.communicate(timeout=300)
    with Workspace.open(home) as workspace:
        assert workspace.users.audit_log()[0].address == expected


def test_invalid_trusted_proxies_are_refused() -> None:
    assert parse_networks(["10.0.0.0/8", "::1", " 127.0.0.1"]) == ("10.0.0.0/8", "::1/128", "127.0.0.1/32")
    for text in ("*", "", "proxy", "10.0.0.1/8"):
        with pytest.raises(InvalidValueError, match="is not an IP address or network"):
            parse_networks([text])


@pytest.mark.slow
@pytest.mark.parametrize("change", ["move", "delete", "replace"])
def test_the_server_stops_if_its_workspace_disappears(tmp_path: Path, change: str) -> None:
    home = tmp_path / "home"
    with Workspace.create(home):
        pass
    process, _ = start(home, "--workers", "0")
    try:
        if change == "delete":
            shutil.rmtree(home)
        else:
            home.rename(tmp_path / "elsewhere")
        if change == "replace":
            with Workspace.create(home):
                pass
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "was moved, replaced or deleted" in json.loads(output)["error"]["message"]
    assert "Traceback" not in errors
    assert home.exists() == (change == "replace"), "nothing is written to the old place"


def test_a_workspace_at_its_place_passes_the_check(home: Path) -> None:
    with Workspace.open(home) as workspace:
        check = workspace.identity_check()
        check()
        (home / ".saccade" / "other").mkdir()
        check()
        home.rename(home.with_name("elsewhere"))
        with pytest.raises(WorkspaceError, match="was moved, replaced or deleted"):
            check()
        home.with_name("elsewhere").rename(home)
        check()
