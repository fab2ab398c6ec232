"""Identifiers of catalog rows: short, unique and sortable by creation time."""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no I, L, O, U


def new_id() -> str:
    """Return a 12-character id: nine characters of time in milliseconds, then three random ones."""
    milliseconds = time.time_ns() // 1_000_000
    digits = [_DIGITS[milliseconds >> shift & 31] for shift in range(40, -1, -5)]  # 45 bits, five per character
    return "".join(digits) + "".join(secrets.choice(_DIGITS) for _ in range(3))
