"""Webhooks in the browser, with a real receiver: add, test, redeliver, rotate the secret, disable, delete."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import ON_POSTGRESQL, OpenPage, Server, assert_accessible, take_screenshot
from tests.support.http_receiver import Receiver, answering, until

import saccade
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
DIALOG_ANIMATION_MS = 500


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@ON_POSTGRESQL
def test_lifecycle_of_a_webhook(open_page: OpenPage, server: Server, receiver: Receiver) -> None:
    page = open_page(Role.OWNER, path="/webhooks")
    page.get_by_role("button", name="Add webhook").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("URL").fill("http://nowhere.invalid/told")
    dialog.get_by_role("button", name="Add webhook").click()
    expect(dialog.locator(".v-alert")).to_contain_text("cannot be resolved")
    dialog.get_by_role("button", name="Clear selection").click()
    expect(dialog.get_by_role("button", name="Add webhook")).to_be_disabled()
    dialog.get_by_label("Datasets: New version").check()
    dialog.get_by_label("Jobs: Failed").check()
    dialog.get_by_label("URL").fill(receiver.url)
    take_screenshot(page, "webhooks-add")
    dialog.get_by_label("URL").press("Enter")
    secret = page.locator("[data-test=secret]").inner_text()
    assert secret.startswith("whsec_")
    expect(dialog).to_have_count(0)
    page.wait_for_timeout(DIALOG_ANIMATION_MS)
    take_screenshot(page, "webhooks-secret")
    page.reload()
    expect(page.get_by_text(receiver.url)).to_be_visible()
    expect(page.get_by_text(secret)).to_have_count(0)

    page.get_by_role("link", name=receiver.url).click()
    expect(page.get_by_text("No deliveries yet")).to_be_visible()
    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_role("row", name=re.compile("ping.*Delivered"))).to_be_visible()
    until(lambda: receiver.got)
    assert saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, secret)["type"] == "ping"

    receiver.usual = answering(500)
    with Workspace.open(server.workspace) as workspace:
        version_ref = workspace.datasets.restore("harbour", 1).ref
    page.reload()
    delivery = page.get_by_role("row", name=re.compile("dataset.version"))
    expect(page.get_by_role("row", name=re.compile("dataset.version.*Queued.*500"))).to_be_visible()
    expect(page.get_by_text("No successful delivery since")).to_be_visible()
    receiver.usual = answering(200)
    delivery.get_by_role("button", name="Redeliver").click()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*Delivered.*200"))).to_be_visible()
    delivery.get_by_role("button", name="Show payload").click()
    expect(page.get_by_label("Payload", exact=True)).to_contain_text(f'"ref": "{version_ref}"')
    take_screenshot(page, "webhook")

    page.get_by_role("button", name="Rotate secret").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate secret").click()
    expect(page.locator("[data-test=secret]")).to_be_visible()
    new_secret = page.locator("[data-test=secret]").inner_text()
    page.get_by_role("button", name="Send test").click()
    until(lambda: receiver.got[-1].event["type"] == "ping")
    for valid_secret in (secret, new_secret):
        assert saccade.verify_webhook(receiver.got[-1].body, receiver.got[-1].headers, valid_secret)

    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("URL")).to_have_value(receiver.url)
    expect(dialog.get_by_label("Jobs: Failed")).to_be_checked()
    dialog.get_by_label("Models: Promoted").check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("model.alias", exact=True)).to_be_visible()
    receiver.usual = answering(500)
    with Workspace.open(server.workspace) as workspace:
        workspace.datasets.restore("harbour", 1)
    page.reload()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*Queued.*500"))).to_be_visible()
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("[data-test=webhook-status]")).to_have_text("Disabled")
    expect(page.get_by_role("button", name="Redeliver failed")).to_be_disabled()
    expect(page.get_by_role("button", name="Send test")).to_be_disabled()
    page.get_by_role("button", name="Enable").click()
    expect(page.locator("[data-test=webhook-status]")).to_have_text("Enabled")
    receiver.usual = answering(200)
    page.get_by_role("button", name="Redeliver failed").click()
    expect(page.get_by_text("1 failed delivery queued again.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*Delivered.*200")).first).to_be_visible()
    expect(page.get_by_role("button", name="Redeliver failed")).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name=receiver.url)).to_have_count(0)


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_webhook_screens_open(open_page: OpenPage, server: Server, receiver: Receiver, theme: str, width: int) -> None:
    with Workspace.open(server.workspace) as workspace, Receiver(usual=answering(503)) as failing_receiver:
        events = ["dataset.version", "model.alias", "run.failed", "job.failed"]
        unused_url = "https://builds.example.org/hooks/0123456789abcdef?team=harbour"
        healthy, _ = workspace.webhooks.add(receiver.url, events, "Ann")
        failing, _ = workspace.webhooks.add(failing_receiver.url, ["dataset.version"], "Ann")
        disabled, _ = workspace.webhooks.add(unused_url, ["job.failed"])
        workspace.webhooks.update(disabled.id, enabled=False)
        workspace.datasets.restore("large", 1)
        workspace.webhooks.send_test(healthy.id)
        until(lambda: len(receiver.got) == 2)
        until(lambda: workspace.webhooks.get(failing.id).failing_since)
        page = open_page(Role.OWNER, theme=theme, width=width, path="/webhooks")
        expect(page.get_by_text("Failing", exact=True)).to_be_visible()
        assert_accessible(page)
        take_screenshot(page, f"webhooks-{theme}-{width}")
        page.get_by_role("button", name="Add webhook").click()
        expect(page.get_by_role("dialog").get_by_label("URL")).to_be_focused()
        page.wait_for_timeout(DIALOG_ANIMATION_MS)
        take_screenshot(page, f"webhooks-add-{theme}-{width}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.goto(f"/webhooks/{failing.id}")
        expect(page.get_by_text("The response was 503").first).to_be_visible()
        take_screenshot(page, f"webhook-failing-{theme}-{width}")
        page.goto(f"/webhooks/{healthy.id}")
        page.get_by_role("button", name="Show payload").first.click()
        assert_accessible(page)
        take_screenshot(page, f"webhook-{theme}-{width}")
        for webhook in (healthy, failing, disabled):
            workspace.webhooks.remove(webhook.id)


def test_only_owners_see_webhooks(open_page: OpenPage) -> None:
    page = open_page(Role.MANAGER)
    expect(page.get_by_role("link", name="Members")).to_be_visible()
    expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
    page.goto("/webhooks")
    expect(page.get_by_text("Page not found")).to_be_visible()
