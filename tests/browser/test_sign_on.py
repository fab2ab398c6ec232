"""Single sign-on in a real browser, through the page of a provider that others wrote, in a process of its own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import ON_POSTGRESQL, ON_SQLITE, PASSWORD, PATIENCE, Served, keep, serve
from tests.conftest import empty_database

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]
NAME = "Harbour Company"
PEOPLE = ("ann", "bob", "eve", "joe", "manager")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A provider that knows some people, and that takes only clients who are registered."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-registration", "true"]
    for name in PEOPLE:
        claims = {"sub": name, "email": f"{name}@example.org", "email_verified": name != "eve", "name": name.title()}
        command += ["--user-claims", json.dumps(claims)]
    with (tmp_path_factory.mktemp("provider") / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration").raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < until, Path(log.name).read_text()
                time.sleep(0.1)
        yield address
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, issuer: str, request: pytest.FixtureRequest
) -> Iterator[Served]:
    """A server that is registered with the provider, on SQLite or on what a test asks for."""
    folder = tmp_path_factory.mktemp("signing-on")
    is_large = getattr(request, "param", "sqlite") == "postgresql"
    catalog = empty_database(request.getfixturevalue("_postgresql_server")) if is_large else ""
    with Workspace.create(folder, catalog) as workspace:
        import_dataset(workspace, pictures, "harbour")
        for role in (Role.OWNER, Role.MANAGER):
            workspace.people.add(f"{role}@example.org", role, str(role).title(), PASSWORD)
    port = free_port()
    back = f"http://127.0.0.1:{port}/api/v1/session/oidc/callback"
    client = httpx.post(f"{issuer}/oauth2/clients", json={"redirect_uris": [back]}).raise_for_status().json()
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_text(client["client_secret"])
    process, address = serve(
        folder, "--port", str(port), "--oidc", issuer, "--oidc-client", client["client_id"],
        "--oidc-secret-file", str(secret), "--oidc-name", NAME,
    )  # fmt: skip
    yield Served(address, folder, pictures)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def invite(served: Served, email: str, project: str = "default") -> str:
    """Invite somebody; the path of the link."""
    with Workspace.open(served.folder, project) as workspace:
        _, owner = workspace.people.sign_in("owner@example.org", PASSWORD)
        if owner.role is None:
            owner = workspace.people.session(workspace.people.sign_in("manager@example.org", PASSWORD)[0]) or owner
        _, secret = workspace.people.invite(email, Role.ANNOTATOR, owner)
    return f"/join#{secret}"


def at_the_provider(page: Page, name: str) -> None:
    """Be somebody at the provider's own page."""
    expect(page.get_by_role("heading", name="Authorize Client")).to_be_visible()
    page.get_by_role("button", name=name, exact=True).click()


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Sign in with {NAME}").click()
    at_the_provider(page, name)


@ON_POSTGRESQL
def test_somebody_invited_signs_in(opened: Open, served: Served) -> None:
    invite(served, "ann@example.org")
    page = opened(None, path="/datasets/harbour?splits=train")
    expect(page.get_by_role("button", name=f"Sign in with {NAME}")).to_be_visible()
    keep(page, "sign-on-light-1440")
    sign_in(page, "ann")
    expect(page).to_have_url(re.compile("/datasets/harbour"))
    expect(page.locator("[data-test=total]")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_role("heading", name="Ann")).to_be_visible()
    expect(page.get_by_text("You have no password here")).to_be_visible()
    expect(page.get_by_label("The new one")).to_have_count(0)
    keep(page, "sign-on-account")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    sign_in(page, "ann")
    expect(page.get_by_role("heading", name="Hello, Ann")).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_who_does_not_come_in_is_told_why(opened: Open, theme: str, width: int) -> None:
    page = opened(None, path="/jobs", theme=theme, width=width)
    sign_in(page, "bob")
    expect(page.get_by_role("alert")).to_contain_text("Nobody has invited you")
    keep(page, f"sign-on-not-invited-{theme}-{width}")
    sign_in(page, "eve")
    expect(page.get_by_role("alert")).to_contain_text("has been verified")
    page.get_by_role("button", name=f"Sign in with {NAME}").click()
    page.get_by_role("button", name="Deny").click()
    # Its answer to a refusal brings no state along, so nobody can tell for whom it is.
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("E-mail").fill("owner@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/jobs$"))


def test_an_account_with_a_password_is_connected_once(opened: Open) -> None:
    page = opened(None, theme="dark", width=1024)
    sign_in(page, "manager")
    expect(page.get_by_text("knows you, and you have an account")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value("manager@example.org")
    expect(page.get_by_label("Password")).to_be_focused()
    keep(page, "sign-on-connect-dark-1024")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in and connect").click()
    expect(page.get_by_role("heading", name="Hello, Manager")).to_be_visible()
    again = opened(None)
    sign_in(again, "manager")
    expect(again.get_by_role("heading", name="Hello, Manager")).to_be_visible()


@ON_SQLITE
def test_an_invitation_leads_in_without_a_password(opened: Open, served: Served) -> None:
    """And later into another project, to which the link alone would ask for a password that there is not."""
    page = opened(None, path=invite(served, "joe@example.org"))
    keep(page, "sign-on-join")
    page.get_by_role("button", name=f"Join with {NAME}").click()
    at_the_provider(page, "joe")
    expect(page.get_by_role("heading", name="Hello, Joe")).to_be_visible()
    with Workspace.open(served.folder) as workspace:
        workspace.projects.add("night-shift", workspace.people.get("owner@example.org").id)
    other = opened(None, path=invite(served, "joe@example.org", "night-shift"), theme="dark", width=1024)
    expect(other.get_by_text(f"to which you sign in with {NAME}")).to_be_visible()
    expect(other.get_by_label("Password")).to_have_count(0)
    keep(other, "sign-on-join-known-dark-1024")
    other.get_by_role("button", name=f"Join with {NAME}").click()
    at_the_provider(other, "joe")
    expect(other).to_have_url(re.compile("/p/night-shift/$"))


def test_a_provider_that_is_down_leaves_the_password(browser: Browser, tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        workspace.people.add("owner@example.org", Role.OWNER, "Owner", PASSWORD)
    issuer = f"http://127.0.0.1:{free_port()}"
    process, address = serve(tmp_path, "--oidc", issuer, "--oidc-client", "saccade", "--workers", "0")
    try:
        page = browser.new_page(base_url=address)
        page.set_default_timeout(PATIENCE)
        page.goto("/")
        page.get_by_role("button", name="Sign in with 127.0.0.1").click()
        expect(page.get_by_role("alert")).to_contain_text("127.0.0.1 does not answer")
        keep(page, "sign-on-down")
        page.get_by_label("E-mail").fill("owner@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Hello, Owner")).to_be_visible()
        page.close()
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=120)
    assert f"Nobody can sign in with 127.0.0.1 yet: {issuer}" in errors.replace("\n", "")
