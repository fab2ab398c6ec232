"""Requests with an idempotency key: each is done once, and its response is stored."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.store.jobs.idempotency import StoredResponse
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request in progress whose key is reserved.

    Attributes:
        is_secret: Whether the response contains a secret. Its body is then not stored.
    """

    workspace: Workspace
    user_id: str
    key: str
    is_secret: bool

    def complete(self, status: int, body: bytes, etag: str) -> None:
        """Store the response, or release the key if the request was refused and so changed nothing.

        Args:
            status: The HTTP status.
            body: The response body, which is text.
            etag: The ETag of the created version, or "".
        """
        store = self.workspace.idempotency
        if 400 <= status < 500 or status == 503:
            store.release(self.user_id, self.key)
        else:
            response = StoredResponse(status, body.decode(), etag)
            store.complete(self.user_id, self.key, response, is_secret=self.is_secret)

    def mark_unknown(self) -> None:
        """Record that the outcome is unknown."""
        self.workspace.idempotency.mark_unknown(self.user_id, self.key)


def begin_request(
    workspace: Workspace, user_id: str, key: str, digest: str, *, is_secret: bool
) -> IdempotentRequest | StoredResponse:
    """Reserve an idempotency key.

    Args:
        workspace: The workspace, scoped to the project of the request.
        user_id: The user who sent the request; keys of different users are independent.
        key: The idempotency key.
        digest: The digest of the method, the path and the body.
        is_secret: Whether the response contains a secret.

    Returns:
        The request with its reserved key, or the stored response if the request was done before.

    Raises:
        ConflictError: The key belongs to another request, or the response is unknown or secret.
    """
    response = workspace.idempotency.begin(user_id, key, digest)
    return IdempotentRequest(workspace, user_id, key, is_secret) if response is None else response
