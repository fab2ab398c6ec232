"""Webhook signatures according to Standard Webhooks: https://www.standardwebhooks.com.

The signature is the HMAC-SHA256 of the delivery id, the time in seconds and the body, joined by dots.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from saccade.core.errors import SignatureError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - a public prefix, so that secret scanners recognise leaked secrets
_VERSION = "v1,"


def new_secret() -> str:
    """Return a random secret of 256 bits."""
    return SECRET_PREFIX + b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, delivery: str, at: int, body: bytes) -> str:
    """Sign a delivery.

    Args:
        secret: webhook secret, ``whsec_…``.
        delivery: id of the delivery.
        at: time in seconds since 1970.
        body: body of the request.

    Raises:
        SignatureError: the secret is malformed.
    """
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SignatureError("Invalid webhook secret.", hint=f"A secret starts with {SECRET_PREFIX}.")
    prefix = f"{delivery}.{at}.".encode("utf-8", "backslashreplace")
    mac = hmac.new(key, prefix + body, hashlib.sha256)
    return _VERSION + b64encode(mac.digest()).decode()


def signature_headers(signing_secrets: tuple[str, ...], delivery: str, at: int, body: bytes) -> dict[str, str]:
    """Return the signature headers of a delivery.

    Args:
        signing_secrets: sign with each of them: after a rotation, receivers may still know the previous secret only.
        delivery: id of the delivery.
        at: time in seconds since 1970.
        body: body of the request.
    """
    signatures = " ".join(sign(secret, delivery, at, body) for secret in signing_secrets)
    return {ID: delivery, TIMESTAMP: str(at), SIGNATURE: signatures}


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = 300.0, now: float | None = None
) -> dict[str, Any]:
    """Verify the signature of a webhook request and return its event.

    Args:
        body: the raw body, before any JSON parsing.
        headers: request headers; names are case-insensitive.
        secret: the secret shown when the webhook was created, ``whsec_…``.
        tolerance: accepted age in seconds, for clock skew and network delay.
        now: current time in seconds since 1970 (None: the system clock).

    Raises:
        SignatureError: the signature does not match, a header is missing, or the request is too old.
    """
    lowercase = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not lowercase.get(name)]
    if missing:
        raise SignatureError(f"The header {missing[0]} is missing.", hint="Webhook deliveries always have it.")
    timestamp = lowercase[TIMESTAMP]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise SignatureError(f"The header {TIMESTAMP} is not a time in seconds.")
    expected = sign(secret, lowercase[ID], int(timestamp), body).encode()
    signatures = (signature.encode("utf-8", "backslashreplace") for signature in lowercase[SIGNATURE].split())
    if not any(hmac.compare_digest(signature, expected) for signature in signatures):
        raise SignatureError("The signature does not match.", hint="Check the secret, and pass the raw body.")
    age = abs((time.time() if now is None else now) - int(timestamp))
    if age > tolerance:
        raise SignatureError(f"The timestamp is {age:,.0f} seconds off; at most {tolerance:,.0f} are accepted.")
    try:
        event = json.loads(body)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise SignatureError("The body is not an event.", hint="Expected a JSON object.")
    return event
