"""Authentication: password login, sessions and API tokens.

Secrets of links, cookies and tokens are 256 random bits; only their SHA-256 is stored. Passwords are stored as Argon2id
hashes.
"""

from __future__ import annotations

import ipaddress
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from saccade.core.digest import digest_bytes
from saccade.core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    WorkspaceError,
)
from saccade.core.roles import Role
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import LoginFailureRow, MemberRow, SessionRow, TokenRow, UserRow, now

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 256
TOKEN_PREFIX = "sct_"  # noqa: S105 (a fixed prefix, so that secret scanners recognise a leaked token)
_SESSION_LIFETIME = timedelta(days=14)
_TOKEN_USE_RESOLUTION = timedelta(minutes=1)
_FAILURE_MEMORY = timedelta(days=1)
_FAILURE_RETENTION = timedelta(days=30)
_INITIAL_BACKOFF_S = 15


@dataclass(frozen=True, slots=True)
class _FailureLimit:
    """How many failed sign-ins are free, and the longest wait after each further one."""

    free: int
    max_wait_s: int


_ADDRESS_LIMIT = _FailureLimit(5, 900)
"""For an account from one client address."""
_ACCOUNT_LIMIT = _FailureLimit(100, 60)
"""For an account from all addresses together: against guesses from many addresses."""


@dataclass(frozen=True, slots=True)
class User:
    """A user.

    Attributes:
        role: the role in the project, None if the user is not a member of it.
        has_password: False if the user signs in with the identity provider only.
    """

    id: str
    email: str
    name: str
    role: Role | None
    created: datetime
    has_password: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated identity of a request.

    Attributes:
        role: the effective role. For a token it may be lower than the user's own; None for a signed-in user who is not
            a member of the project.
        csrf_token: the anti-CSRF token of a session, which modifying requests must send; None for an API token.
        token: the API token, None for a session.
        expires: when the session or token expires.
    """

    user: User
    role: Role | None
    csrf_token: str | None = None
    token: Token | None = None
    expires: datetime | None = None

    @property
    def can_manage_tokens(self) -> bool:
        """Whether it may create, list and revoke API tokens: a session may, a token only with that right."""
        return self.token is None or self.token.can_manage_tokens


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without its secret. ``can_manage_tokens``: whether it may create, list and revoke tokens."""

    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime
    can_manage_tokens: bool


TokenList = list[Token]


@lru_cache(maxsize=1)
def _password_hasher() -> Any:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@lru_cache(maxsize=1)
def _dummy_password_hash() -> str:
    """A hash to verify against if the user does not exist, so that response times do not reveal which users exist."""
    dummy: str = _password_hasher().hash(secrets.token_urlsafe())
    return dummy


def client_network(address: str) -> str:
    """Return the network that limits apply to: an IPv4 address, or the /64 network of an IPv6 address.

    A client with IPv6 usually has all addresses of such a network. Other texts are returned as they are.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


def hash_secret(secret: str) -> str:
    """Return the hash under which the secret of a link, cookie or token is stored."""
    return digest_bytes(secret.encode("utf-8", "surrogatepass"))


def check_password_length(password: str) -> None:
    """Check the length of a new password.

    Raises:
        InvalidValueError: the password is too short or too long.
    """
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidValueError(
            f"A password needs {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.",
            hint="Use a few words.",
        )


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a new password; raises as :func:`check_password_length` does."""
    check_password_length(password)
    hashed: str = _password_hasher().hash(password)
    return hashed


class AuthService:
    """Signs users in and out, and authenticates sessions and API tokens."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    # Passwords and sessions

    def sign_in(self, email: str, password: str, address: str = "") -> tuple[str, Principal]:
        """Verify a password and create a session.

        Failures are counted by account and client address, so that wrong passwords do not lock out the owner of the
        account, and with a much higher limit by account.

        Args:
            email: the e-mail address of the account.
            password: the password.
            address: IP address of the client.

        Returns:
            The secret for the session cookie, and the principal.

        Raises:
            AuthenticationError: the e-mail address or the password is wrong.
            RateLimitedError: too many failed attempts from this client address, or with this e-mail address.
        """
        account = email.strip().lower()[:255]
        account_key = hash_secret(account)
        address_key = hash_secret(f"{account}\n{client_network(address)}")
        # The attempt is counted before the password is verified: parallel attempts must not get around the limit.
        with self._catalog.essential_tx() as session:
            by_address = session.get(LoginFailureRow, address_key)
            # A row without failures is of an address from which the account was signed in to before.
            is_known = by_address is not None and by_address.count == 0
            by_address = by_address or LoginFailureRow(email=address_key, count=0, last=now())
            by_account = session.get(LoginFailureRow, account_key)
            by_account = by_account or LoginFailureRow(email=account_key, count=0, last=now())
            wait = _backoff_seconds(by_address, _ADDRESS_LIMIT)
            if not is_known:
                wait = max(wait, _backoff_seconds(by_account, _ACCOUNT_LIMIT))
            if wait:
                raise RateLimitedError(
                    "Too many failed sign-in attempts.", seconds=wait, hint=f"Try again in {wait} seconds."
                )
            for failure in (by_address, by_account):
                failure.count = _recent_failures(failure) + 1
                failure.last = now()
                session.add(failure)
            row = session.scalar(select(UserRow).where(UserRow.email == account, UserRow.removed.is_(None)))
        hashed = row.password_hash if row is not None and row.password_hash else _dummy_password_hash()
        # The cut bounds the time for hashing; one character more than allowed cannot match a valid password.
        is_valid, updated_hash = _password_hasher().verify_and_update(password[: MAX_PASSWORD_LENGTH + 1], hashed)
        if not is_valid or row is None or row.password_hash is None:
            raise AuthenticationError("Wrong e-mail address or password.")
        with self._catalog.essential_tx() as session:
            session.execute(delete(LoginFailureRow).where(LoginFailureRow.email == account_key))
            session.execute(update(LoginFailureRow).where(LoginFailureRow.email == address_key).values(count=0))
            session.execute(delete(LoginFailureRow).where(LoginFailureRow.last < now() - _FAILURE_RETENTION))
            session.execute(delete(SessionRow).where(SessionRow.expires < now()))
            if updated_hash:  # the hashing parameters have been strengthened since the password was set
                session.execute(update(UserRow).where(UserRow.id == row.id).values(password_hash=updated_hash))
            return create_session(session, row.id)

    def authenticate_session(self, secret: str) -> Principal | None:
        """Return the principal of a session cookie, or None if the session expired or was ended."""
        with self._catalog.read_tx() as session:
            row = session.get(SessionRow, hash_secret(secret))
            if row is None or row.expires < now():
                return None
            user = _find_user(session, row.user_id)
            return None if user is None else Principal(user, user.role, row.csrf_token, expires=row.expires)

    def sign_out(self, secret: str) -> None:
        """Delete a session."""
        with self._catalog.write_tx() as session:
            session.execute(delete(SessionRow).where(SessionRow.secret == hash_secret(secret)))

    def change_password(self, user_id: str, old: str, new: str) -> tuple[str, Principal]:
        """Change a password, end all sessions of the user and create a new one.

        Returns:
            The secret for the new session cookie, and the principal.

        Raises:
            InvalidValueError: the new password is too short or too long.
            ConflictError: the account has no password. A session alone must not be enough to give it one, because that
                would open the account permanently.
            AuthenticationError: the old password is wrong.
        """
        check_password_length(new)
        with self._catalog.read_tx() as session:
            row = session.get_one(UserRow, user_id)
        if row.password_hash is None:
            raise ConflictError("This account has no password: it signs in with the identity provider.")
        if not _password_hasher().verify(old[: MAX_PASSWORD_LENGTH + 1], row.password_hash):
            raise AuthenticationError("The current password is wrong.")
        hashed = hash_password(new)
        with self._catalog.write_tx() as session:
            session.execute(update(UserRow).where(UserRow.id == row.id).values(password_hash=hashed))
            session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))
            return create_session(session, row.id)

    # API tokens

    def create_token(
        self,
        user_id: str,
        name: str,
        role: Role,
        days: int = 90,
        *,
        can_manage_tokens: bool = False,
        creator: Token | None = None,
    ) -> tuple[Token, str]:
        """Create an API token.

        Args:
            user_id: id or e-mail address of a member of the project.
            name: 1 to 200 characters.
            role: at most the role of the user.
            days: lifetime, 1 to 3660 days.
            can_manage_tokens: whether it may create, list and revoke tokens of the user.
            creator: the token that creates it, None for the user. The new token expires and is revoked with it at the
                latest.

        Returns:
            The token and its secret, which is not stored.

        Raises:
            InvalidValueError: the name or the lifetime is out of range.
            PermissionDeniedError: the role is higher than that of the user or ``creator``, or ``creator`` has no right
                to create tokens, or was revoked.
        """
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        if not name.strip() or len(name) > 200 or not 1 <= days <= 3660:
            raise InvalidValueError("A token needs a name of 1 to 200 characters and a lifetime of 1 to 3660 days.")
        with self._catalog.write_tx() as session:
            row, member = find_member(session, user_id)
            if not Role(member.role).covers(role):
                raise PermissionDeniedError(
                    f"A user with the role '{member.role}' cannot create a token with the role '{role}'."
                )
            expires = now() + timedelta(days=days)
            if creator is not None:
                _check_creator(session, creator, row.id, role)
                expires = min(expires, creator.expires)
            token = TokenRow(
                id=new_id(),
                user_id=row.id,
                name=name.strip(),
                secret=hash_secret(secret),
                role=str(role),
                created=now(),
                expires=expires,
                can_manage_tokens=can_manage_tokens,
                parent_id=None if creator is None else creator.id,
            )
            session.add(token)
            return _to_token(token), secret

    def list_tokens(self, user_id: str) -> TokenList:
        """List the API tokens of a user, the oldest first."""
        with self._catalog.read_tx() as session:
            query = select(TokenRow).where(TokenRow.user_id == user_id).order_by(TokenRow.created)
            return [_to_token(row) for row in session.scalars(query)]

    def revoke_token(self, user_id: str, token_id: str) -> None:
        """Delete an API token of a user, and the tokens that were created with it.

        Raises:
            NotFoundError: the user has no token with this id.
        """
        with self._catalog.write_tx() as session:
            row = session.get(TokenRow, token_id)
            if row is None or row.user_id != user_id:
                raise NotFoundError("There is no such token.")
            revoked = [token_id]
            while revoked:
                children = list(session.scalars(select(TokenRow.id).where(TokenRow.parent_id.in_(revoked))))
                session.execute(delete(TokenRow).where(TokenRow.id.in_(revoked)))
                revoked = children

    def authenticate_token(self, secret: str) -> Principal | None:
        """Return the principal of an API token, or None if the token expired or was revoked."""
        with self._catalog.read_tx() as session:
            row = session.scalar(select(TokenRow).where(TokenRow.secret == hash_secret(secret)))
            if row is None or row.expires < now():
                return None
            user = _find_member_user(session, row.user_id)
            is_recorded = row.last_used is not None and now() - row.last_used < _TOKEN_USE_RESOLUTION
            token = _to_token(row)
        if user is None or user.role is None:
            return None
        if not is_recorded:  # at most once a minute, so that most requests with a token need no write transaction
            # The request must not fail only because its time cannot be recorded, for example on a full disk.
            with suppress(WorkspaceError), self._catalog.write_tx(changes_access=False) as session:
                session.execute(update(TokenRow).where(TokenRow.id == token.id).values(last_used=now()))
        # The user's role may have been lowered since the token was created.
        role = token.role if user.role.covers(token.role) else user.role
        return Principal(user, role, token=token, expires=token.expires)


def select_members(session: Session) -> Any:
    """Build the query for the members of the session's project, as pairs of ``PersonRow`` and ``MemberRow``."""
    return (
        select(UserRow, MemberRow)
        .join(MemberRow, MemberRow.user_id == UserRow.id)
        .where(MemberRow.project_id == project_id(session), UserRow.removed.is_(None))
    )


def find_member(session: Session, user: str) -> tuple[UserRow, MemberRow]:
    """Return a member of the session's project by user id or e-mail address.

    Raises:
        NotFoundError: the project has no such member.
    """
    row = session.execute(
        select_members(session).where((UserRow.id == user) | (UserRow.email == user.strip().lower()))
    ).first()
    if row is None:
        raise NotFoundError(f"There is no user '{user[:80]}'.")
    return row[0], row[1]


def _find_member_user(session: Session, user_id: str) -> User | None:
    row = session.execute(select_members(session).where(UserRow.id == user_id)).first()
    return None if row is None else to_user(row[0], row[1])


def _find_user(session: Session, user_id: str) -> User | None:
    """Return a user of any project, with the role in the session's project."""
    row = session.get(UserRow, user_id)
    if row is None or row.removed is not None:
        return None
    return _find_member_user(session, user_id) or to_user(row, None)


def to_user(row: UserRow, member: MemberRow | None) -> User:
    """Build the user of a row; ``member`` is the membership in the project, None if there is none."""
    role = None if member is None else Role(member.role)
    return User(row.id, row.email, row.name, role, row.created, row.password_hash is not None)


def _to_token(row: TokenRow) -> Token:
    return Token(row.id, row.name, Role(row.role), row.created, row.last_used, row.expires, row.can_manage_tokens)


def _check_creator(session: Session, creator: Token, user_id: str, role: Role) -> None:
    row = session.get(TokenRow, creator.id)
    if row is None or row.user_id != user_id or not row.can_manage_tokens or not Role(row.role).covers(role):
        raise PermissionDeniedError(
            f"The API token '{creator.name}' may not create a token with the role '{role}'.",
            hint="Create it in the browser, in the menu under your name.",
        )


def create_session(session: Session, user_id: str) -> tuple[str, Principal]:
    """Create a session with new secrets.

    Args:
        session: a write transaction.
        user_id: the user to sign in.

    Returns:
        The secret for the session cookie, and the principal.

    Raises:
        AuthenticationError: the user was removed in the meantime.
    """
    secret = secrets.token_urlsafe(32)
    csrf_token = secrets.token_urlsafe(32)
    expires = now() + _SESSION_LIFETIME
    session.add(SessionRow(secret=hash_secret(secret), user_id=user_id, csrf_token=csrf_token, expires=expires))
    user = _find_user(session, user_id)
    if user is None:
        raise AuthenticationError("Wrong e-mail address or password.")
    return secret, Principal(user, user.role, csrf_token, expires=expires)


def _recent_failures(failure: LoginFailureRow) -> int:
    return failure.count if now() - failure.last < _FAILURE_MEMORY else 0


def _backoff_seconds(failure: LoginFailureRow, limit: _FailureLimit) -> int:
    """Return how many seconds the next attempt has to wait.

    The first attempts are free; then the wait doubles with each failure, up to that of the limit.
    """
    excess = _recent_failures(failure) - limit.free
    if excess < 0:
        return 0
    wait = min(_INITIAL_BACKOFF_S << min(excess, 10), limit.max_wait_s)
    return max(0, round(wait - (now() - failure.last).total_seconds()))
