"""The server as a process: its first words, a person and a program that use it, and its end."""

from __future__ import annotations

import json
import os
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

from saccade.server.run import bound
from saccade.store.workspace import Workspace

_MODULE = ("-m", "saccade")


def start(home: Path, *more: str, program: tuple[str, ...] = _MODULE) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, *program, "serve", "--port", "0", "-w", str(home), "--json", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("}"):
            break
    return process, json.loads(said)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Workspace.create(tmp_path):
        return tmp_path


@pytest.mark.slow
def test_from_the_first_start_to_a_program_that_reads(home: Path) -> None:
    process, said = start(home)
    try:
        address, _, secret = said["first_link"].partition("/join#")
        assert address == said["address"]
        with httpx.Client(base_url=said["api"]) as browser:
            assert browser.get("/health").json()["status"] == "ok"
            assert browser.get("/datasets").status_code == 401
            owner = {"secret": secret, "name": "Ann", "email": "ann@example.org", "password": PASSWORD}
            joined = browser.post("/join", json=owner)
            assert joined.status_code == 201
            guard = {"X-Saccade-Guard": joined.json()["guard"]}
            made = browser.post("/tokens", json={"name": "program", "role": "viewer"}, headers=guard).json()
        with httpx.Client(base_url=said["api"], headers={"Authorization": f"Bearer {made['token']}"}) as program:
            assert program.get("/datasets").json() == []
    finally:
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors
    again, said = start(home)
    again.terminate()
    _, errors = again.communicate(timeout=300)
    assert errors == "", "neither the server nor its worker has anything to say at the end"
    assert said["first_link"] is None, "there is an owner"


@pytest.mark.slow
def test_what_was_kept_from_the_collector_is_given_back_at_the_end(home: Path) -> None:
    """Else bindings that count what is left say a page about it, as at the end of the demo, which trains before."""
    program = (
        "import atexit, gc\natexit.register(lambda: print('kept', gc.get_freeze_count(), flush=True))\n"
        "from saccade.cli.main import main\nmain()"
    )
    process, _ = start(home, program=("-c", program))
    process.terminate()
    said, _ = process.communicate(timeout=300)
    assert said.endswith("kept 0\n")


def test_a_small_answer_does_not_wait_for_the_other_side() -> None:
    """Each took 40 ms: its second part was held back until the first had been acknowledged."""
    with bound("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.slow
def test_a_place_that_is_taken_is_named(home: Path, command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command.fails("serve", "--port", port, "-w", str(home), code="conflict")
    command.fails("serve", "--host", "nowhere.invalid", "-w", str(home), code="invalid-value")


def test_a_provider_that_cannot_be_right_is_named(home: Path, command: Command) -> None:
    where = ("-w", str(home))
    command.fails("serve", "--oidc", "http://example.org", "--oidc-client", "x", *where, code="invalid-value")
    command.fails("serve", "--oidc", "https://example.org", *where, code="invalid-value")
    command.fails("serve", "--oidc-role", "viewer", *where, code="invalid-value")
    given = ("--oidc", "https://example.org", "--oidc-client", "x", "--port", "0")
    command.fails("serve", *given, "--host", "0.0.0.0", "--name", "labels.example.org", *where, code="invalid-value")


@pytest.mark.usefixtures("_hashing_is_cheap")
def test_people_at_the_command_line(home: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.cli.admin import users

    monkeypatch.setattr(users, "_password", lambda: PASSWORD)
    where = ("-w", str(home))
    assert command.json("users", "list", *where) == []
    command.fails("users", "add", "bob@example.org", *where, code="conflict")
    command("users", "add", "ann@example.org", "--role", "owner", "--name", "Ann", *where)
    command("users", "add", "bob@example.org", *where)
    assert [one["role"] for one in command.json("users", "list", *where)] == ["owner", "annotator"]
    assert command.json("users", "set-role", "bob@example.org", "reviewer", *where)["role"] == "reviewer"
    token = command("users", "token", "bob@example.org", *where).out.strip()
    with Workspace.open(home) as workspace:
        caller = workspace.people.token(token)
        assert caller is not None
        assert (caller.person.email, caller.role) == ("bob@example.org", "viewer")
    command.fails("users", "rm", "ann@example.org", *where, code="conflict")
    command("users", "rm", "bob@example.org", *where)
    assert len(command.json("users", "list", *where)) == 1
    assert command.json("users", "audit", *where) == []
