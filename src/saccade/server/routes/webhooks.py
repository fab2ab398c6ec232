"""Webhooks: external URLs that are notified of events in a project."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from saccade.app.webhooks import webhooks as use_cases
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.webhooks import (
    DeliveryPage,
    DeliveryResponse,
    RedeliveryResponse,
    WebhookCreate,
    WebhookCreated,
    WebhookResponse,
    WebhookUpdate,
)
from saccade.store.webhooks.webhooks import Webhook

router = ApiRouter(tags=["webhooks"])


def _webhook_created(webhook: Webhook, secret: str) -> WebhookCreated:
    return WebhookCreated(**WebhookResponse.model_validate(webhook).model_dump(), secret=secret)


@router.get("/webhooks")
def list_webhooks(workspace: CurrentWorkspace) -> list[WebhookResponse]:
    """List the webhooks of the project."""
    return [WebhookResponse.model_validate(webhook) for webhook in workspace.webhooks.list()]


@router.post("/webhooks", status_code=201)
def create_webhook(
    body: WebhookCreate, request: Request, workspace: CurrentWorkspace, principal: CurrentUser
) -> WebhookCreated:
    """Create a webhook. The response contains the signing secret, which is shown only once."""
    allow_private = bool(request.app.state.allow_private)
    webhook, secret = use_cases.create_webhook(
        workspace, body.url, body.events, author=principal.user.name, allow_private=allow_private
    )
    return _webhook_created(webhook, secret)


@router.get("/webhooks/{webhook}")
def get_webhook(webhook: str, workspace: CurrentWorkspace) -> WebhookResponse:
    """Get a webhook."""
    return WebhookResponse.model_validate(workspace.webhooks.get(webhook))


@router.patch("/webhooks/{webhook}")
def update_webhook(webhook: str, body: WebhookUpdate, request: Request, workspace: CurrentWorkspace) -> WebhookResponse:
    """Change the URL or the events of a webhook, or enable or disable it. Disabling discards pending deliveries."""
    updated = use_cases.update_webhook(
        workspace,
        webhook,
        url=body.url,
        events=body.events,
        enabled=body.enabled,
        allow_private=bool(request.app.state.allow_private),
    )
    return WebhookResponse.model_validate(updated)


@router.delete("/webhooks/{webhook}", status_code=204)
def remove_webhook(webhook: str, workspace: CurrentWorkspace) -> None:
    """Delete a webhook and its deliveries."""
    use_cases.delete_webhook(workspace, webhook)


@router.post("/webhooks/{webhook}/secret", status_code=201)
def rotate_secret(webhook: str, workspace: CurrentWorkspace) -> WebhookCreated:
    """Create a new signing secret, shown only once. For a day, requests are signed with the previous one as well."""
    return _webhook_created(*use_cases.rotate_secret(workspace, webhook))


@router.post("/webhooks/{webhook}/test", status_code=201)
def send_test(webhook: str, workspace: CurrentWorkspace) -> DeliveryResponse:
    """Send a ``ping`` event without retries. Poll its delivery for the result."""
    return DeliveryResponse.model_validate(use_cases.enqueue_test(workspace, webhook))


@router.get("/webhooks/{webhook}/deliveries")
def list_deliveries(
    webhook: str,
    workspace: CurrentWorkspace,
    before: Annotated[int | None, Query(ge=0, lt=1 << 31)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> DeliveryPage:
    """List the deliveries of a webhook, newest first."""
    deliveries = workspace.webhooks.list_deliveries(webhook, before, limit)
    next_cursor = deliveries[-1].number if len(deliveries) == limit else None
    return DeliveryPage(
        deliveries=[DeliveryResponse.model_validate(delivery) for delivery in deliveries], next=next_cursor
    )


@router.post("/webhooks/{webhook}/deliveries/retry", status_code=201)
def redeliver_failed(webhook: str, workspace: CurrentWorkspace) -> RedeliveryResponse:
    """Queue all failed deliveries again, in their original order."""
    return RedeliveryResponse(count=use_cases.redeliver_failed(workspace, webhook))


@router.post("/webhooks/{webhook}/deliveries/{delivery}/retry", status_code=201)
def redeliver(webhook: str, delivery: str, workspace: CurrentWorkspace) -> DeliveryResponse:
    """Queue a delivery again, with the same id."""
    return DeliveryResponse.model_validate(use_cases.redeliver(workspace, webhook, delivery))
