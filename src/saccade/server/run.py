"""The server: what it says at its start, and how it runs."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from types import FrameType
from typing import Any

from saccade.core.errors import ConflictError, InvalidValueError
from saccade.store.workspace import Workspace

HOST = "127.0.0.1"
_EVERY = ("0.0.0.0", "::")  # noqa: S104 (only compared with: nothing listens there unless told to)


def first_link(workspace: Workspace, origin: str) -> str | None:
    """The link that makes the first owner, used once and for a day; None where there is somebody already."""
    secret = workspace.people.first_link()
    return None if secret is None else f"{origin}/join#{secret}"


def names_of(host: str) -> tuple[str, ...]:
    """The name that an address to listen at is reached by; none where it stands for every address."""
    return () if host in _EVERY else (host,)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; ConflictError where another program does, InvalidValueError for no address."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise InvalidValueError(f"'{host}' is no address of this machine: {error.strerror}.") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what it accepts: otherwise a small answer waits 40 ms for the other side to say that it listens.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConflictError(
            f"Nothing can be served at {host}:{port}: {error.strerror}.", hint="Choose another one with --port."
        ) from error
    return listening


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens there yet."""
    try:
        bound(host, port).close()
    except ConflictError:
        return False
    return True


def origin_of(listening: socket.socket) -> str:
    """Where a browser on this machine finds what listens there."""
    host, port = listening.getsockname()[:2]
    if not names_of(host):
        host = HOST
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    application: Any,
    listening: socket.socket,
    started: Callable[[], None],
    first: str,
    look_ahead: Callable[[], None],
) -> None:
    """Serve an ASGI application until Ctrl-C or SIGTERM; requests under way are answered first.

    Args:
        first: a path that is asked once by nobody, so that nobody waits for what is made at the first request.
        look_ahead: done, too, before anybody is told that it is there.
    """
    import uvicorn

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            await _ask(listening, first)
            await asyncio.to_thread(look_ahead)
            # What is there now stays; to look through it for rubbish took a fifth of the time of a page of items.
            gc.collect()
            gc.freeze()
            started()

    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    # uvicorn ends by sending itself once more what it was ended with: so that the caller can put its things away.
    usual = signal.signal(signal.SIGTERM, _end)
    try:
        with closing(listening):
            _Server(config).run(sockets=[listening])
    finally:
        gc.unfreeze()  # else bindings of others complain at the end of what was not collected
        signal.signal(signal.SIGTERM, usual)


async def _ask(listening: socket.socket, path: str) -> None:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        lines = (f"GET {path} HTTP/1.1", f"Host: {HOST}", "Authorization: Bearer nobody", "Connection: close", "", "")
        writer.write("\r\n".join(lines).encode())
        await reader.read()
        writer.close()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
