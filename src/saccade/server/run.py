"""Run the server with uvicorn: bind the socket, warm up, serve until a signal."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from types import FrameType
from typing import Any

from saccade.app.auth.members import create_bootstrap_invitation
from saccade.core.errors import ConflictError, InvalidValueError, SaccadeError
from saccade.store.workspace import Workspace

DEFAULT_HOST = "127.0.0.1"
# Python's default is 5 ms. The event loop waits this long whenever a thread computes, several times for each request.
_SWITCH_INTERVAL_S = 0.001
_CHECK_INTERVAL_S = 1.0
_WILDCARD_HOSTS = ("0.0.0.0", "::")  # noqa: S104 (compared with only; the default host is local)


def bootstrap_link(workspace: Workspace, origin: str) -> str | None:
    """Create the invitation link for the first owner, valid once and for a day. None if the workspace has users."""
    secret = create_bootstrap_invitation(workspace)
    return None if secret is None else f"{origin}/join#{secret}"


def host_names(host: str) -> tuple[str, ...]:
    """Return the ``Host`` header values of a listen address; none for a wildcard address."""
    return () if host in _WILDCARD_HOSTS else (host,)


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind a TCP socket.

    Raises:
        ConflictError: The port is in use.
        InvalidValueError: ``host`` is not an address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise InvalidValueError(f"'{host}' is not an address of this machine: {error.strerror}.") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit this. Without it a small response waits 40 ms for the client's delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConflictError(
            f"Cannot listen on {host}:{port}: {error.strerror}.", hint="Choose another port with --port."
        ) from error
    return listener


def is_port_free(host: str, port: int) -> bool:
    """Return whether a server can bind to this address."""
    try:
        bind_socket(host, port).close()
    except ConflictError:
        return False
    return True


def parse_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Parse IP addresses and networks in CIDR notation.

    Raises:
        InvalidValueError: A text is neither.
    """
    networks = []
    for text in texts:
        try:
            networks.append(str(ipaddress.ip_network(text.strip())))
        except ValueError as error:
            raise InvalidValueError(
                f"'{text}' is not an IP address or network: {error}.", hint="Example: --trusted-proxy 10.0.0.0/8"
            ) from None
    return tuple(networks)


def display_url(listener: socket.socket) -> str:
    """Return the URL of a listening socket for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if not host_names(host):
        host = DEFAULT_HOST
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    application: Any,
    listener: socket.socket,
    on_ready: Callable[[], None],
    warm_up_path: str,
    warm_up: Callable[[], None],
    trusted_proxies: Sequence[str] = (),
    check: Callable[[], None] = lambda: None,
    on_shutdown: Callable[[], None] = lambda: None,
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM. Requests in progress are completed first.

    Args:
        application: The ASGI application.
        listener: A bound socket; closed at the end.
        on_ready: Called once the server is warm and accepts requests.
        warm_up_path: Requested once before ``on_ready``, so that the first user does not wait for lazy set-up.
        warm_up: Called in a thread before ``on_ready``.
        trusted_proxies: Networks of reverse proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` headers count.
        check: Called in a thread every second. If it raises a SaccadeError, the server stops and the error is raised.
        on_shutdown: Called in a thread before the requests in progress are completed, to end streams of events.

    Raises:
        SaccadeError: ``check`` raised it.
    """
    import uvicorn

    stopped = threading.Event()
    failures: list[SaccadeError] = []

    def watch() -> None:
        while not stopped.wait(_CHECK_INTERVAL_S):
            try:
                check()
            except SaccadeError as error:
                failures.append(error)
                server.should_exit = True
                return

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            await _request(listener, warm_up_path)
            await asyncio.to_thread(warm_up)
            # Exempt what lives as long as the process from garbage collection, which took a fifth of the time of a
            # page of items.
            gc.collect()
            gc.freeze()
            on_ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(on_shutdown)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
        # By default uvicorn trusts these headers of every local client, which could then choose its address.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
    )
    # uvicorn raises the signal again after its shutdown; as SystemExit it lets the caller clean up.
    previous_handler = signal.signal(signal.SIGTERM, _exit)
    previous_interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    server = _Server(config)
    watcher = threading.Thread(target=watch, name="saccade-watch", daemon=True)
    watcher.start()
    try:
        with closing(listener):
            server.run(sockets=[listener])
    finally:
        stopped.set()
        gc.unfreeze()  # otherwise native bindings report leaks of uncollected objects at exit
        sys.setswitchinterval(previous_interval)
        signal.signal(signal.SIGTERM, previous_handler)
    if failures:
        raise failures[0]


async def _request(listener: socket.socket, path: str) -> None:
    """Send an unauthenticated request to the server and wait for the response; errors are ignored."""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {DEFAULT_HOST}",
            "Authorization: Bearer invalid",
            "Connection: close",
            "",
            "",
        )
        writer.write("\r\n".join(lines).encode())
        await reader.read()
        writer.close()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
