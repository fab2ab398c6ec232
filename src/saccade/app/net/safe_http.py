"""HTTP connections that are protected against server-side request forgery (SSRF).

A host name is resolved once, its addresses are checked, and the connection goes to exactly a checked address: a name
cannot resolve to another address between the check and the connection (DNS rebinding).
"""

from __future__ import annotations

import http.client
import ipaddress
import math
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.urls import redact_url

_SAFE_CHARACTERS = "/%:@!$&'()*+,;=~-._"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Deprecated ranges that ``ipaddress`` counts as global: relays of 6to4 (RFC 7526) and site-local addresses (RFC 3879).
_DEPRECATED = (ipaddress.ip_network("192.88.99.0/24"), ipaddress.ip_network("fec0::/10"))


class ConnectionFailedError(SaccadeError):
    """No address of the host accepts connections at present."""


def parse_http_url(url: str) -> SplitResult:
    """Split an HTTP URL into its parts.

    Raises:
        InvalidValueError: It is not a valid HTTP or HTTPS URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValueError(f"{url!r} is not a valid URL: {error}.") from None
    has_control = any(ord(char) <= 32 or ord(char) == 127 for char in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or has_control:
        raise InvalidValueError(f"{redact_url(url)!r} is not a valid HTTP URL.", hint="Use http:// or https://.")
    return parts


def request_target(parts: SplitResult) -> str:
    """Return the request target of a URL: the path and the query."""
    path = quote(parts.path or "/", safe=_SAFE_CHARACTERS)
    return path + (f"?{quote(parts.query, safe=_SAFE_CHARACTERS + '?')}" if parts.query else "")


def is_global(address: str) -> bool:
    """Return whether an IP address is public, including an IPv4 address embedded in an IPv6 address."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            ip = embedded
    is_deprecated = any(ip in network for network in _DEPRECATED)
    return bool(ip.is_global and not ip.is_multicast and not ip.is_reserved and not is_deprecated)


def resolve_allowed(parts: SplitResult, allow_private: bool) -> list[str]:
    """Resolve the host of a URL to the IP addresses that may be connected to.

    Args:
        parts: The URL.
        allow_private: Also return addresses that are not public, such as those of this machine and the local network.

    Raises:
        InvalidValueError: All addresses are private.
        SaccadeError: The host name cannot be resolved.
    """
    host = parts.hostname or ""
    addresses = _resolve(host, effective_port(parts))
    allowed = [address for address in addresses if allow_private or is_global(address)]
    if not allowed:
        raise InvalidValueError(
            f"{host} ({', '.join(addresses)}) is not a public internet address.",
            hint="If it is a server of your own, add --private-network.",
        )
    return allowed


def effective_port(parts: SplitResult) -> int:
    """Return the port of a URL, or the default port of its scheme."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def _resolve(host: str, port: int) -> list[str]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"The host name {host!r} cannot be resolved: {error}."
        raise SaccadeError(message, hint="Check the URL and the network.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def connect(
    parts: SplitResult, allow_private: bool, idle_timeout: float, deadline: float = math.inf
) -> http.client.HTTPConnection:
    """Open a connection to the host of a URL, with TLS if the scheme is https.

    Args:
        parts: The URL.
        allow_private: Also connect to addresses that are not public.
        idle_timeout: The socket timeout in seconds.
        deadline: The value of ``time.monotonic()`` after which no further address is tried.

    Raises:
        InvalidValueError: All addresses are private.
        ConnectionFailedError: No address accepts the connection.
        SaccadeError: The host name cannot be resolved, or the TLS handshake failed.
    """
    host = parts.hostname or ""
    port = effective_port(parts)
    connection = http.client.HTTPConnection(host, port, timeout=idle_timeout)
    reason = f"{host} cannot be reached: resolving the host name took too long."
    for address in resolve_allowed(parts, allow_private):
        timeout = min(idle_timeout, deadline - time.monotonic())
        if timeout <= 0:
            break
        try:
            plain = socket.create_connection((address, port), timeout=timeout)
        except OSError as error:
            reason = f"{host} cannot be reached: {error.strerror or error}."
            continue
        try:
            connection.sock = (
                ssl.create_default_context().wrap_socket(plain, server_hostname=host)
                if parts.scheme == "https"
                else plain
            )
        except (OSError, ValueError) as error:
            plain.close()
            raise SaccadeError(f"The TLS connection to {host} failed: {error}.", hint="Check the URL.") from None
        return connection
    raise ConnectionFailedError(reason)
