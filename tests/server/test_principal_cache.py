"""Cache of authenticated callers: a revoked caller loses access at once, whatever revoked it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from tests.server.conftest import PASSWORD, ServerHarness

from saccade.core.roles import Role
from saccade.server.dependencies.auth import CSRF_HEADER, SESSION_COOKIE
from saccade.server.dependencies.principal_cache import MAX_AGE_S, PrincipalCache
from saccade.server.permissions import API
from saccade.store.catalog.tables import MemberRow, SessionRow, TokenRow, UserRow, now

EMAIL = "ben@example.org"


def token_client(server: ServerHarness, role: Role = Role.VIEWER) -> tuple[TestClient, str]:
    """Create a member with a token; returns its client and the id of the token."""
    server.create_user(role, EMAIL)
    token, secret = server.workspace.users.create_token(EMAIL, "t", role)
    client = server.client()
    client.headers["Authorization"] = f"Bearer {secret}"
    return client, token.id


def send(client: TestClient) -> int:
    return client.get(f"{API}/datasets").status_code


def remove(server: ServerHarness, token_id: str) -> None:
    server.workspace.users.remove(EMAIL)


def revoke(server: ServerHarness, token_id: str) -> None:
    server.workspace.users.revoke_token(server.workspace.users.get(EMAIL).id, token_id)


def expire(server: ServerHarness, token_id: str) -> None:
    with server.workspace.catalog.write_tx() as session:
        session.execute(update(TokenRow).where(TokenRow.id == token_id).values(expires=now() - timedelta(seconds=1)))


@pytest.mark.parametrize("end", [remove, revoke, expire])
def test_a_token_has_no_access_right_after_its_end(
    server: ServerHarness, end: Callable[[ServerHarness, str], None]
) -> None:
    client, token_id = token_client(server)
    assert [send(client) for _ in range(3)] == [200] * 3
    end(server, token_id)
    assert send(client) == 401


def test_a_lower_role_counts_at_once(server: ServerHarness) -> None:
    client, _ = token_client(server, Role.MANAGER)
    assert [client.get(f"{API}/members").status_code for _ in range(3)] == [200] * 3
    server.workspace.users.set_role(EMAIL, Role.VIEWER)
    assert client.get(f"{API}/members").status_code == 403
    assert send(client) == 200
    server.workspace.users.set_role(EMAIL, Role.MANAGER)
    assert client.get(f"{API}/members").status_code == 200, "a higher one, too"


def test_a_session_has_no_access_right_after_its_end(server: ServerHarness) -> None:
    browser = server.signed_in(Role.VIEWER, EMAIL)
    thief = server.client()
    thief.cookies.set(SESSION_COOKIE, browser.cookies[SESSION_COOKIE], domain="127.0.0.1", path="/")
    assert [send(thief) for _ in range(3)] == [200] * 3
    assert browser.delete(f"{API}/session").status_code == 204
    assert send(thief) == 401


def test_a_new_password_ends_cached_sessions(server: ServerHarness) -> None:
    first, second = server.signed_in(Role.VIEWER, EMAIL), server.signed_in(Role.VIEWER, EMAIL)
    assert [send(client) for client in (first, second, first, second)] == [200] * 4
    body = {"current_password": PASSWORD, "new_password": "another long one"}
    assert first.put(f"{API}/session/password", json=body).status_code == 200
    assert (send(first), send(second)) == (200, 401)


def test_a_removed_member_has_no_access_with_a_session(server: ServerHarness) -> None:
    browser = server.signed_in(Role.VIEWER, EMAIL)
    owner = server.signed_in(Role.OWNER)
    user_id = server.workspace.users.get(EMAIL).id
    assert [send(browser) for _ in range(3)] == [200] * 3
    assert owner.delete(f"{API}/members/{user_id}").status_code == 204
    assert send(browser) == 401


def test_cached_callers_still_need_the_csrf_token_and_the_permission(server: ServerHarness) -> None:
    browser = server.signed_in(Role.VIEWER, EMAIL)
    assert [send(browser) for _ in range(3)] == [200] * 3
    before = len(server.workspace.users.audit_log(limit=1000))
    edit: dict[str, list[str]] = {"edits": []}
    assert browser.post(f"{API}/label-sets/s/edits", json=edit).status_code == 403, "a viewer does not label"
    log = server.workspace.users.audit_log(limit=1000)
    assert len(log) == before + 1
    assert log[0].action.startswith("refused POST")
    server.workspace.users.set_role(EMAIL, Role.ANNOTATOR)
    assert browser.post(f"{API}/label-sets/s/edits", json=edit).status_code == 422
    del browser.headers[CSRF_HEADER]
    assert browser.post(f"{API}/label-sets/s/edits", json=edit).status_code == 403, "without the CSRF token"


def test_what_another_process_changes_takes_effect_within_two_seconds(server: ServerHarness) -> None:
    client, _ = token_client(server)
    assert send(client) == 200
    home = str(server.workspace.location.parent)
    command = [sys.executable, "-m", "saccade", "users", "rm", EMAIL, "-w", home]
    subprocess.run(command, check=True, capture_output=True)
    removed = time.monotonic()
    while send(client) != 401:
        assert time.monotonic() - removed < 2, "still has access"
    assert MAX_AGE_S < 2


def test_a_principal_is_not_kept_longer_than_its_session(server: ServerHarness) -> None:
    browser = server.signed_in(Role.VIEWER, EMAIL)
    secret = browser.cookies[SESSION_COOKIE]
    with server.workspace.catalog.write_tx() as session:
        session.execute(update(SessionRow).values(expires=now() + timedelta(milliseconds=300)))
    principals = PrincipalCache()
    assert principals.authenticate(server.workspace, False, secret) is not None
    time.sleep(0.35)
    assert principals.get(server.workspace, False, secret) is None
    assert principals.authenticate(server.workspace, False, secret) is None


def test_projects_and_kinds_of_secrets_are_not_confused(server: ServerHarness) -> None:
    users = server.workspace.users
    server.workspace.projects.add("other", users.get("owner@example.org").id)
    server.create_user(Role.VIEWER, EMAIL)
    _, secret = users.create_token(EMAIL, "t", Role.VIEWER)
    principals = PrincipalCache()
    other = server.workspace.scoped_to_project("other")
    assert principals.authenticate(server.workspace, True, secret) is not None
    assert principals.get(other, True, secret) is None
    assert principals.authenticate(other, True, secret) is None
    assert principals.get(server.workspace, False, secret) is None
    assert principals.authenticate(server.workspace, False, secret) is None


def test_nothing_outlives_a_change_at_the_same_time(server: ServerHarness) -> None:
    """Threads that authenticate while a role changes never see the old role after the change has returned."""
    server.create_user(Role.VIEWER, EMAIL)
    users = server.workspace.users
    users.set_role(EMAIL, Role.MANAGER)
    _, secret = users.create_token(EMAIL, "t", Role.MANAGER)
    principals = PrincipalCache()
    stop = threading.Event()

    def authenticate() -> None:
        while not stop.is_set():
            principals.authenticate(server.workspace, True, secret)

    threads = [threading.Thread(target=authenticate) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            role = Role.MANAGER if number % 2 else Role.VIEWER
            users.set_role(EMAIL, role)
            for _ in range(5):
                principal = principals.authenticate(server.workspace, True, secret)
                assert principal is not None
                assert principal.role is role
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with server.workspace.catalog.read_tx() as session:
        assert session.scalar(select(MemberRow.role).join(UserRow).where(UserRow.email == EMAIL)) == str(role)
