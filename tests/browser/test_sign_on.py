"""Single sign-on in the browser, with an identity provider (oidc-provider-mock) in its own process."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import (
    ON_POSTGRESQL,
    ON_SQLITE,
    PASSWORD,
    TIMEOUT_MS,
    OpenPage,
    Server,
    add_users,
    start_server,
    stop_server,
    take_screenshot,
)
from tests.conftest import empty_database

from saccade.app.ingest.importing import import_dataset
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
PROVIDER = "Harbour Company"
PROVIDER_USERS = ("ann", "bob", "eve", "joe", "manager")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an identity provider with some users, which only accepts registered clients."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-registration", "true"]
    for name in PROVIDER_USERS:
        claims = {"sub": name, "email": f"{name}@example.org", "email_verified": name != "eve", "name": name.title()}
        command += ["--user-claims", json.dumps(claims)]
    with (tmp_path_factory.mktemp("provider") / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration").raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline, Path(log.name).read_text()
                time.sleep(0.1)
        yield address
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, issuer: str, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server that is registered with the provider; on SQLite unless the test asks for PostgreSQL."""
    folder = tmp_path_factory.mktemp("sign-on")
    uses_postgresql = getattr(request, "param", "sqlite") == "postgresql"
    catalog = empty_database(request.getfixturevalue("_postgresql_server")) if uses_postgresql else ""
    with Workspace.create(folder, catalog) as workspace:
        import_dataset(workspace, pictures, "harbour")
        add_users(workspace, Role.OWNER, Role.MANAGER)
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{port}/api/v1/session/oidc/callback"
    registration = httpx.post(f"{issuer}/oauth2/clients", json={"redirect_uris": [redirect_uri]})
    client = registration.raise_for_status().json()
    secret_file = tmp_path_factory.mktemp("secret") / "secret"
    secret_file.write_text(client["client_secret"])
    oidc_options = ["--oidc", issuer, "--oidc-client", client["client_id"], "--oidc-name", PROVIDER]
    process, address = start_server(folder, "--port", str(port), "--oidc-secret-file", str(secret_file), *oidc_options)
    yield Server(address, folder, pictures)
    assert "Traceback" not in stop_server(process)


def invite(server: Server, email: str, project: str = "default") -> str:
    """Invite a user. Returns the path of the invitation link."""
    with Workspace.open(server.workspace, project) as workspace:
        _, owner = workspace.users.sign_in("owner@example.org", PASSWORD)
        if owner.role is None:
            owner = (
                workspace.users.authenticate_session(workspace.users.sign_in("manager@example.org", PASSWORD)[0])
                or owner
            )
        _, secret = workspace.users.invite(email, Role.ANNOTATOR, owner)
    return f"/join#{secret}"


def authorize(page: Page, name: str) -> None:
    """Choose a user on the page of the provider."""
    expect(page.get_by_role("heading", name="Authorize Client")).to_be_visible()
    page.get_by_role("button", name=name, exact=True).click()


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Sign in with {PROVIDER}").click()
    authorize(page, name)


@ON_POSTGRESQL
def test_invited_user_signs_in(open_page: OpenPage, server: Server) -> None:
    invite(server, "ann@example.org")
    page = open_page(None, path="/datasets/harbour?splits=train")
    expect(page.get_by_role("button", name=f"Sign in with {PROVIDER}")).to_be_visible()
    take_screenshot(page, "sign-on-light-1440")
    sign_in(page, "ann")
    expect(page).to_have_url(re.compile("/datasets/harbour"))
    expect(page.locator("[data-test=total]")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_role("heading", name="Ann")).to_be_visible()
    expect(page.get_by_text("You have no password here")).to_be_visible()
    expect(page.get_by_label("New password")).to_have_count(0)
    take_screenshot(page, "sign-on-account")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    sign_in(page, "ann")
    expect(page.get_by_role("heading", name="Hello, Ann")).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_denied_sign_in_shows_the_reason(open_page: OpenPage, theme: str, width: int) -> None:
    page = open_page(None, path="/jobs", theme=theme, width=width)
    sign_in(page, "bob")
    expect(page.get_by_role("alert")).to_contain_text("You have not been invited yet")
    take_screenshot(page, f"sign-on-not-invited-{theme}-{width}")
    sign_in(page, "eve")
    expect(page.get_by_role("alert")).to_contain_text("not verified by the identity provider")
    page.get_by_role("button", name=f"Sign in with {PROVIDER}").click()
    page.get_by_role("button", name="Deny").click()
    # This provider sends no state with a denial, so the server cannot tell which sign-in was denied.
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("E-mail").fill("owner@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/jobs$"))


def test_account_with_a_password_is_linked_once(open_page: OpenPage) -> None:
    page = open_page(None, theme="dark", width=1024)
    sign_in(page, "manager")
    expect(page.get_by_text("Enter its password once to link it")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value("manager@example.org")
    expect(page.get_by_label("Password")).to_be_focused()
    take_screenshot(page, "sign-on-link-dark-1024")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in and link account").click()
    expect(page.get_by_role("heading", name="Hello, Manager")).to_be_visible()
    second_page = open_page(None)
    sign_in(second_page, "manager")
    expect(second_page.get_by_role("heading", name="Hello, Manager")).to_be_visible()


@ON_SQLITE
def test_invitation_is_accepted_without_a_password(open_page: OpenPage, server: Server) -> None:
    """Also for a second project: the existing account has no password, so only the provider can confirm it."""
    page = open_page(None, path=invite(server, "joe@example.org"))
    take_screenshot(page, "sign-on-invitation")
    page.get_by_role("button", name=f"Join with {PROVIDER}").click()
    authorize(page, "joe")
    expect(page.get_by_role("heading", name="Hello, Joe")).to_be_visible()
    with Workspace.open(server.workspace) as workspace:
        workspace.projects.add("night-shift", workspace.users.get("owner@example.org").id)
    second_page = open_page(None, path=invite(server, "joe@example.org", "night-shift"), theme="dark", width=1024)
    expect(second_page.get_by_text(f"an account that signs in with {PROVIDER}")).to_be_visible()
    expect(second_page.get_by_label("Password")).to_have_count(0)
    take_screenshot(second_page, "sign-on-invitation-existing-account-dark-1024")
    second_page.get_by_role("button", name=f"Join with {PROVIDER}").click()
    authorize(second_page, "joe")
    expect(second_page).to_have_url(re.compile("/p/night-shift/$"))


def test_password_works_while_the_provider_is_down(browser: Browser, tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        add_users(workspace, Role.OWNER)
    issuer = f"http://127.0.0.1:{free_port()}"
    process, address = start_server(tmp_path, "--oidc", issuer, "--oidc-client", "saccade", "--workers", "0")
    try:
        page = browser.new_page(base_url=address)
        page.set_default_timeout(TIMEOUT_MS)
        page.goto("/")
        page.get_by_role("button", name="Sign in with 127.0.0.1").click()
        expect(page.get_by_role("alert")).to_contain_text("127.0.0.1 did not respond")
        take_screenshot(page, "sign-on-provider-down")
        page.get_by_label("E-mail").fill("owner@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Hello, Owner")).to_be_visible()
        page.close()
    finally:
        errors = stop_server(process)
    assert f"Sign-in with 127.0.0.1 is not available: Request to {issuer}" in errors.replace("\n", "")
