"""Settings of the OpenID Connect provider of a server."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role

SECRET_VARIABLE = "SACCADE_OIDC_SECRET"  # noqa: S105 (the name of the environment variable, not a secret)
_MAX_ISSUER_LENGTH = 255


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """A provider, and which of its users may sign in besides members and invited users.

    Attributes:
        issuer: The issuer URL, exactly as in the provider's metadata.
        client_id: The id under which this server is registered with the provider.
        client_secret: The client secret, or "" for a public client.
        name: The name of the provider on the sign-in page.
        default_role: The role of new users who were not invited; None if only invited users may sign in.
        allowed_domains: E-mail domains to which ``default_role`` applies; all if empty.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    default_role: Role | None
    allowed_domains: tuple[str, ...]


def create_settings(
    issuer: str,
    client: str,
    *,
    secret_file: Path | None = None,
    name: str = "",
    role: Role | None = None,
    domains: Sequence[str] = (),
) -> OidcSettings:
    """Validate the command-line options of single sign-on.

    Args:
        issuer: The issuer URL (``https``, or ``http`` on this machine).
        client: The client id.
        secret_file: A file with the client secret; without it the secret is read from ``SACCADE_OIDC_SECRET``.
        name: The display name; the host name of the issuer if empty.
        role: The role of new users who were not invited.
        domains: E-mail domains to which ``role`` is limited.

    Raises:
        InvalidValueError: An option is invalid, or the secret cannot be read.
    """
    parts = urlsplit(validate_url(issuer, "The issuer"))
    if len(issuer) > _MAX_ISSUER_LENGTH or parts.query or parts.fragment:
        raise InvalidValueError(
            f"Invalid issuer '{issuer[:100]}': it must have no '?' or '#', and at most {_MAX_ISSUER_LENGTH} characters."
        )
    if not client:
        raise InvalidValueError("The client id is missing.", hint="Add --oidc-client ID.")
    if role is Role.OWNER:
        raise InvalidValueError("New users cannot become owners by --oidc-role.", hint="Choose a lesser --oidc-role.")
    if domains and role is None:
        raise InvalidValueError("--oidc-domain has no effect without --oidc-role.", hint="Add --oidc-role.")
    allowed_domains = tuple(domain.strip().lower().lstrip("@") for domain in domains)
    if not all(domain and domain.isascii() and "@" not in domain for domain in allowed_domains):
        raise InvalidValueError(f"Invalid --oidc-domain {', '.join(domains)}.", hint="Example: example.org.")
    name = name.strip() or parts.hostname or issuer
    return OidcSettings(issuer, client, _read_secret(secret_file), name, role, allowed_domains)


def validate_url(url: object, name: str) -> str:
    """Return a URL that may be requested: ``https``, or ``http`` on this machine.

    Args:
        url: The value to check.
        name: What the URL is, for the error message.

    Raises:
        InvalidValueError: The value is not such a URL, or has a user name in it.
    """
    try:
        parts = urlsplit(str(url))
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(str(url)))
        is_valid = is_safe and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_valid = False
    if not isinstance(url, str) or not is_valid or not url.isascii() or any(ord(char) <= 32 for char in url):
        raise InvalidValueError(f"{name} is not a valid https:// URL: {str(url)[:100]!a}.")
    return url


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_secret(file: Path | None) -> str:
    # Removed from the environment: jobs and pipeline steps, which inherit it, must not see the secret.
    secret = os.environ.pop(SECRET_VARIABLE, "")
    if file is None:
        return secret.strip()
    try:
        secret = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"The client secret in '{file}' cannot be read: {error}.") from error
    if not secret:
        raise InvalidValueError(f"The client secret file '{file}' is empty.")
    return secret
