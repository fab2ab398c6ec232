"""Idempotency keys: a repeated request with the same key is answered with the stored response.

Responses are stored for a day, except those that contain a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, delete, select

from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError
from saccade.runtime.process import lease_owner_id
from saccade.store.catalog.leases import is_lease_expired
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import IdempotentRequestRow, now

RETENTION = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response: HTTP status, body, and ETag of the created version ("" for none)."""

    status: int
    body: str
    etag: str


class IdempotencyStore:
    """The idempotency keys of a project."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def begin(self, user_id: str, key: str, fingerprint: str) -> StoredResponse | None:
        """Record that a request is being handled.

        Args:
            user_id: the user who sent it; keys of different users are independent.
            key: the idempotency key.
            fingerprint: digest of the method, path and body.

        Returns:
            The stored response if the request was completed before, else None.

        Raises:
            ConflictError: the key was used for a different request; or the request is still being handled, its outcome
                is unknown, or its response contained a secret.
        """
        with self._catalog.write_tx() as session:
            session.execute(delete(IdempotentRequestRow).where(IdempotentRequestRow.created < now() - RETENTION))
            row = session.scalar(_select(user_id, key))
            # Recorded before the request is handled: after a crash it is known that the outcome is unknown.
            if row is None:
                session.add(
                    IdempotentRequestRow(
                        project_id=project_id(session),
                        user_id=user_id,
                        key_hash=_hash_key(key),
                        fingerprint=fingerprint,
                        process=lease_owner_id(),
                    )
                )
                return None
        if row.fingerprint != fingerprint:
            raise ConflictError(
                "This Idempotency-Key was used for a different request.", hint="Use a new key for a new request."
            )
        if row.status is None:
            if not is_lease_expired(row.process, row.created):
                raise ConflictError("This request is still being processed.", hint="Try again in a moment.")
            raise ConflictError(
                "The server was interrupted during this request; its outcome is unknown.",
                hint="Check whether it took effect. To send it again, use a new Idempotency-Key.",
            )
        if row.body is None:
            raise ConflictError("This request was completed. Its response contained a secret and was not stored.")
        return StoredResponse(row.status, row.body, row.etag)

    def complete(self, user_id: str, key: str, response: StoredResponse, *, is_secret: bool = False) -> None:
        """Store the response of a request.

        Args:
            user_id: the user who sent it.
            key: the idempotency key.
            response: the response.
            is_secret: do not store the body, only that the request was completed.
        """
        with self._catalog.write_tx() as session:
            if (row := session.scalar(_select(user_id, key))) is not None:
                row.status = response.status
                row.etag = response.etag
                # A key chosen by the client would be all that protects a stored secret.
                row.body = None if is_secret else response.body

    def mark_unknown(self, user_id: str, key: str) -> None:
        """Record that the outcome of a request is unknown."""
        with self._catalog.write_tx() as session:
            if (row := session.scalar(_select(user_id, key))) is not None:
                row.process = ""

    def release(self, user_id: str, key: str) -> None:
        """Delete the key of a rejected request, so that the request can be sent again."""
        with self._catalog.write_tx() as session:
            if (row := session.scalar(_select(user_id, key))) is not None:
                session.delete(row)


def _select(user_id: str, key: str) -> Select[IdempotentRequestRow]:
    return select(IdempotentRequestRow).where(
        IdempotentRequestRow.user_id == user_id, IdempotentRequestRow.key_hash == _hash_key(key)
    )


def _hash_key(key: str) -> str:
    """Hash the key: it may be long, and it is private."""
    return digest_bytes(key.encode("utf-8", "surrogatepass"))
