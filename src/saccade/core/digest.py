"""Digests: SHA-256 over bytes, files and canonical JSON, as 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Any, BinaryIO

_CHUNK_BYTES = 1 << 20


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return digest_stream(file)


def digest_stream(stream: BinaryIO) -> str:
    """SHA-256 of the rest of a stream, read in pieces."""
    # Binary files have the readinto() that the type BinaryIO lacks.
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # any stream will do


def copy_with_digest(source: IO[bytes], target: IO[bytes], size: int) -> str | None:
    """Copy a stream of a known size.

    Args:
        source: the stream; at most ``size`` + 1 bytes are read.
        target: receives the content.
        size: its expected size in bytes.

    Returns:
        The SHA-256 of the content, or None if it has another size.
    """
    hasher = hashlib.sha256()
    rest = size + 1  # one byte more, to notice a stream that is too long
    while rest and (chunk := source.read(min(rest, _CHUNK_BYTES))):
        target.write(chunk)
        hasher.update(chunk)
        rest -= len(chunk)
    return hasher.hexdigest() if rest == 1 else None


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. NaN and infinity raise ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return digest_bytes(canonical_json(value).encode())
