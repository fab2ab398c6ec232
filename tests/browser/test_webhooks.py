"""Webhooks in a real browser: added, tried, followed and taken away, with a receiver that is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import ON_POSTGRESQL, Served, keep
from tests.support.http_receiver import Receiver, answering, until

import saccade
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
Open = Callable[..., Page]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@ON_POSTGRESQL
def test_a_webhook_from_its_beginning_to_its_end(opened: Open, served: Served, receiver: Receiver) -> None:
    page = opened(Role.OWNER, path="/webhooks")
    expect(page.get_by_text("No webhooks yet")).to_be_visible()
    keep(page, "webhooks-empty")
    page.get_by_role("button", name="Add a webhook").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("http://nowhere.invalid/told")
    dialog.get_by_role("button", name="Add a webhook").click()
    expect(dialog.locator(".v-alert")).to_contain_text("not known")
    dialog.get_by_role("button", name="Choose none").click()
    expect(dialog.get_by_role("button", name="Add a webhook")).to_be_disabled()
    dialog.get_by_label("Datasets: a new version").check()
    dialog.get_by_label("Jobs: one failed").check()
    dialog.get_by_label("Address").fill(receiver.url)
    keep(page, "webhooks-add")
    dialog.get_by_label("Address").press("Enter")
    secret = page.locator("[data-test=once]").inner_text()
    assert secret.startswith("whsec_")
    expect(dialog).to_have_count(0)
    page.wait_for_timeout(500)  # it goes slowly
    keep(page, "webhooks-secret")
    page.reload()
    expect(page.get_by_text(receiver.url)).to_be_visible()
    expect(page.get_by_text(secret)).to_have_count(0)

    page.get_by_role("link", name=receiver.url).click()
    expect(page.get_by_text("It was told nothing yet")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("row", name=re.compile("ping.*accepted"))).to_be_visible()
    until(lambda: receiver.got)
    assert saccade.verify_webhook(receiver.got[0].body, receiver.got[0].headers, secret)["type"] == "ping"

    receiver.usual = answering(500)
    with Workspace.open(served.folder) as workspace:
        made = workspace.datasets.restore("harbour", 1).ref
    page.reload()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*waits.*500"))).to_be_visible()
    expect(page.get_by_text("Nothing was accepted since")).to_be_visible()
    receiver.usual = answering(200)
    page.get_by_role("row", name=re.compile("dataset.version")).get_by_role("button", name="Send again").click()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*accepted.*200"))).to_be_visible()
    page.get_by_role("row", name=re.compile("dataset.version")).get_by_role("button", name="Show what is sent").click()
    expect(page.get_by_label("What is sent", exact=True)).to_contain_text(f'"ref": "{made}"')
    keep(page, "webhook")

    page.get_by_role("button", name="Renew the secret").click()
    page.get_by_role("dialog").get_by_role("button", name="Renew the secret").click()
    expect(page.locator("[data-test=once]")).to_be_visible()
    renewed = page.locator("[data-test=once]").inner_text()
    page.get_by_role("button", name="Send a test").click()
    until(lambda: receiver.got[-1].event["type"] == "ping")
    for one in (secret, renewed):
        assert saccade.verify_webhook(receiver.got[-1].body, receiver.got[-1].headers, one)

    page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Address")).to_have_value(receiver.url)
    expect(dialog.get_by_label("Jobs: one failed")).to_be_checked()
    dialog.get_by_label("Models: one was promoted").check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("model.alias", exact=True)).to_be_visible()
    receiver.usual = answering(500)
    with Workspace.open(served.folder) as workspace:
        workspace.datasets.restore("harbour", 1)
    page.reload()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*waits.*500"))).to_be_visible()
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("[data-test=hook-state]")).to_have_text("off")
    expect(page.get_by_role("button", name="Send again what failed")).to_be_disabled()
    expect(page.get_by_role("button", name="Send a test")).to_be_disabled()
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator("[data-test=hook-state]")).to_have_text("on")
    receiver.usual = answering(200)
    page.get_by_role("button", name="Send again what failed").click()
    expect(page.get_by_text("1 that failed is sent again.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("dataset.version.*accepted.*200")).first).to_be_visible()
    expect(page.get_by_role("button", name="Send again what failed")).to_have_count(0)
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No webhooks yet")).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_how_it_looks(opened: Open, served: Served, receiver: Receiver, theme: str, width: int) -> None:
    with Workspace.open(served.folder) as workspace, Receiver(usual=answering(503)) as failing:
        hooks = [
            workspace.webhooks.add(receiver.url, ["dataset.version", "model.alias", "run.failed", "job.failed"], "Ann")[
                0
            ],
            workspace.webhooks.add(failing.url, ["dataset.version"], "Ann")[0],
            workspace.webhooks.add("https://builds.example.org/hooks/0123456789abcdef?team=harbour", ["job.failed"])[0],
        ]
        workspace.webhooks.change(hooks[2].id, is_on=False)
        workspace.datasets.restore("large", 1)
        workspace.webhooks.test(hooks[0].id)
        until(lambda: len(receiver.got) == 2)
        until(lambda: workspace.webhooks.get(hooks[1].id).failing_since)
        page = opened(Role.OWNER, theme=theme, width=width, path="/webhooks")
        expect(page.get_by_text("fails", exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep(page, f"webhooks-{theme}-{width}")
        page.get_by_role("button", name="Add a webhook").click()
        expect(page.get_by_role("dialog").get_by_label("Address")).to_be_focused()
        page.wait_for_timeout(500)  # it comes slowly
        keep(page, f"webhooks-add-{theme}-{width}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.goto(f"/webhooks/{hooks[1].id}")
        expect(page.get_by_text("The answer was 503").first).to_be_visible()
        keep(page, f"webhook-failing-{theme}-{width}")
        page.goto(f"/webhooks/{hooks[0].id}")
        page.get_by_role("button", name="Show what is sent").first.click()
        nameless = page.locator("button:visible, a:visible").evaluate_all(
            "all => all.filter(one => !(one.innerText.trim() || one.ariaLabel || one.title)).map(one => one.outerHTML)"
        )
        assert nameless == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        keep(page, f"webhook-{theme}-{width}")
        for hook in hooks:
            workspace.webhooks.remove(hook.id)


def test_webhooks_are_for_owners(opened: Open) -> None:
    page = opened(Role.MANAGER)
    expect(page.get_by_role("link", name="People")).to_be_visible()
    expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
    page.goto("/webhooks")
    expect(page.get_by_text("nothing at this address")).to_be_visible()
