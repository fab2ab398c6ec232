"""Webhooks: addresses elsewhere that are told of what happens in a project."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from saccade.app.webhooks.webhooks import add_webhook, change_webhook
from saccade.server.dependencies.auth import Served, SignedIn
from saccade.server.permissions import API
from saccade.server.schemas.webhooks import (
    DeliveryAnswer,
    DeliveryPage,
    NewWebhook,
    SentAgain,
    WebhookAnswer,
    WebhookChange,
    WebhookMade,
)
from saccade.store.webhooks.webhooks import Webhook

router = APIRouter(prefix=API, tags=["webhooks"])


def _made(made: tuple[Webhook, str]) -> WebhookMade:
    webhook, secret = made
    return WebhookMade(**WebhookAnswer.model_validate(webhook).model_dump(), secret=secret)


@router.get("/webhooks")
def webhooks(served: Served) -> list[WebhookAnswer]:
    """The webhooks of the project."""
    return [WebhookAnswer.model_validate(one) for one in served.webhooks.list()]


@router.post("/webhooks", status_code=201)
def new_webhook(given: NewWebhook, request: Request, served: Served, caller: SignedIn) -> WebhookMade:
    """Tell an address of events from now on; the secret is shown once."""
    private = bool(request.app.state.private)
    return _made(add_webhook(served, given.url, given.events, author=caller.person.name, private=private))


@router.get("/webhooks/{webhook}")
def webhook(webhook: str, served: Served) -> WebhookAnswer:
    """A webhook."""
    return WebhookAnswer.model_validate(served.webhooks.get(webhook))


@router.patch("/webhooks/{webhook}")
def change(webhook: str, given: WebhookChange, request: Request, served: Served) -> WebhookAnswer:
    """Change its address or its events, or switch it on or off; off, what waits is not sent."""
    private = bool(request.app.state.private)
    changed = change_webhook(served, webhook, url=given.url, events=given.events, is_on=given.is_on, private=private)
    return WebhookAnswer.model_validate(changed)


@router.delete("/webhooks/{webhook}", status_code=204)
def remove(webhook: str, served: Served) -> None:
    """Let a webhook go, with the list of what it was told."""
    served.webhooks.remove(webhook)


@router.post("/webhooks/{webhook}/secret", status_code=201)
def renew(webhook: str, served: Served) -> WebhookMade:
    """Another secret, which is shown once; for a day what is sent is signed with the one before, too."""
    return _made(served.webhooks.renew(webhook))


@router.post("/webhooks/{webhook}/test", status_code=201)
def try_webhook(webhook: str, served: Served) -> DeliveryAnswer:
    """Send a ``ping``, which is tried once; its delivery says how it went."""
    return DeliveryAnswer.model_validate(served.webhooks.test(webhook))


@router.get("/webhooks/{webhook}/deliveries")
def deliveries(
    webhook: str,
    served: Served,
    before: Annotated[int | None, Query(ge=0, lt=1 << 31)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> DeliveryPage:
    """What it was told and will be, the newest first."""
    found = served.webhooks.deliveries(webhook, before, limit)
    following = found[-1].number if len(found) == limit else None
    return DeliveryPage(deliveries=[DeliveryAnswer.model_validate(one) for one in found], next=following)


@router.post("/webhooks/{webhook}/deliveries/again", status_code=201)
def again_failed(webhook: str, served: Served) -> SentAgain:
    """Send once more, in order, all that was given up."""
    return SentAgain(count=served.webhooks.again_failed(webhook))


@router.post("/webhooks/{webhook}/deliveries/{delivery}/again", status_code=201)
def again(webhook: str, delivery: str, served: Served) -> DeliveryAnswer:
    """Send a delivery once more, under the same id."""
    return DeliveryAnswer.model_validate(served.webhooks.again(webhook, delivery))
