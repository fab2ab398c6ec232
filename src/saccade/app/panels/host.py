"""Host of panels: renders them in worker processes, which are reused, and killed if a panel takes too long."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from saccade.app.panels.blocks import AnyBlock
from saccade.app.panels.panel import PANELS, PanelSlot
from saccade.app.panels.worker import MAX_BYTES, describe
from saccade.core.errors import (
    InvalidValueError,
    NotFoundError,
    PanelError,
    PermissionDeniedError,
    RateLimitedError,
    SaccadeError,
    suggest,
)
from saccade.core.roles import Role
from saccade.runtime.child_process import ChildProcess
from saccade.store.workspace import Workspace

TIMEOUT_S = 20.0
_START_TIMEOUT_S = 60.0
"""Time in which a process must start. It is long, because the machine may be busy."""
_LOAD_TIMEOUT_S = 30.0
_BUILTIN_PACKAGE = "saccade"
_MAX_PROCESSES = 2
_MAX_WAITING = 8
_log = logging.getLogger("saccade.panels")


@dataclass(frozen=True, slots=True)
class PanelInfo:
    """An installed panel.

    Attributes:
        slot: Where it is displayed; None if its package is broken.
        role: The least role that may see it.
        error: Why it cannot be loaded, or "".
    """

    name: str
    title: str
    slot: PanelSlot | None
    role: Role
    help: str
    package: str
    error: str = ""


PanelList = list[PanelInfo]
Blocks = list[AnyBlock]
_BLOCKS: TypeAdapter[Blocks] = TypeAdapter(Blocks)


class _PanelProcess:
    """A worker process, which handles one request at a time."""

    def __init__(self, command: list[str]) -> None:
        self.is_fresh = True
        self._process = ChildProcess(command)
        self.close = weakref.finalize(self, self._process.close)
        try:
            ready = self._process.receive(_START_TIMEOUT_S)
        except TimeoutError:
            ready = None
        if ready is None:
            self.close()
            raise PanelError("The panel process did not start.", hint="See the server's log.")

    def request(self, request: Mapping[str, Any], timeout_s: float) -> bytes | None:
        """Send a request and return the answer, or None if the process exited. Raises TimeoutError."""
        self._process.send(json.dumps(request).encode())
        return self._process.receive(timeout_s, 2 * MAX_BYTES)


class PanelHost:
    """The installed panels, for one workspace. Thread-safe.

    At most two panels run at once and a few requests wait, which bounds what panels take of a server.

    Args:
        workspace: The workspace.
        timeout_s: The maximum duration of rendering a panel.
        memory: Bytes that a process may allocate beyond what it starts with; None for no limit.
    """

    def __init__(self, workspace: Workspace, *, timeout_s: float = TIMEOUT_S, memory: int | None = None) -> None:
        self._command = [sys.executable, "-m", "saccade.app.panels.worker", str(workspace.location), str(memory or 0)]
        self._timeout_s = timeout_s
        self._running = threading.Semaphore(_MAX_PROCESSES)
        self._admitted = threading.Semaphore(_MAX_PROCESSES + _MAX_WAITING)
        self._lock = threading.Lock()
        self._idle: list[_PanelProcess] = []
        self._infos: dict[str, PanelInfo] = {}
        self._is_closed = False
        self._loader = threading.Thread(target=self._load_all, name="saccade-panels", daemon=True)

    def start(self) -> None:
        """Load the declarations of the panels in a background thread."""
        with self._lock:
            if self._loader.ident is None:
                self._loader.start()

    def _load_all(self) -> None:
        for name in PANELS.names():
            if self._is_closed:
                return
            with suppress(RateLimitedError, OSError):
                self._info(name)

    def list(self, role: Role) -> PanelList:
        """List the panels that a role may see; managers also see those that are broken.

        Panels whose packages are still being loaded after 30 seconds are left out.
        """
        self.start()
        self._loader.join(_LOAD_TIMEOUT_S)
        infos = [self._infos[name] for name in sorted(self._infos)]
        return [info for info in infos if role.covers(Role.MANAGER if info.error else info.role)]

    def render(
        self,
        name: str,
        project: str,
        role: Role,
        *,
        dataset: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Blocks:
        """Render a panel.

        Args:
            name: The panel.
            project: The name of the project that it may read.
            role: The viewer's role.
            dataset: The dataset version, for a panel of a dataset or item.
            key: The key of the item, for a panel of an item.
            parameters: The parameters; those that are missing have their defaults.

        Raises:
            NotFoundError: The panel, dataset or item does not exist.
            PermissionDeniedError: The role may not see the panel.
            InvalidValueError: A parameter is invalid.
            PanelError: The panel failed, took too long or returned something that cannot be displayed.
            RateLimitedError: Too many panels are being rendered.
        """
        if name not in PANELS:
            raise NotFoundError(f"There is no panel '{name[:100]}'.", hint=suggest(name[:100], PANELS.names()))
        info = self._info(name)
        if info.error:
            raise PanelError(f"The panel '{name}' cannot be loaded.", hint=info.error)
        if not role.covers(info.role):
            raise PermissionDeniedError(
                f"The panel '{name}' is not visible to the role {role}.", hint=f"It requires the role {info.role}."
            )
        request = {
            "panel": name,
            "project": project,
            "role": str(role),
            "dataset": dataset,
            "key": key,
            "parameters": dict(parameters or {}),
        }
        answer = self._request(name, request)
        try:
            return _BLOCKS.validate_python(answer["blocks"])
        except (KeyError, ValidationError) as error:
            raise self._log_error(name, "its output cannot be displayed", repr(error)) from error

    def close(self) -> None:
        """Stop the idle processes."""
        self._is_closed = True
        with self._lock:
            idle = self._idle
            self._idle = []
        for process in idle:
            process.close()

    def _info(self, name: str) -> PanelInfo:
        """Return the declaration of a panel, cached because packages do not change while the server runs."""
        if name in self._infos:
            return self._infos[name]
        package = PANELS.package(name)
        try:
            if package == _BUILTIN_PACKAGE:
                # Loaded in this process: a server without plugins starts no process before a panel is viewed.
                description = describe(name)
            else:
                description = self._request(name, {"describe": name})["described"]
        except RateLimitedError:
            raise
        except SaccadeError as error:
            reason = f"{error.message} {error.hint}".strip()
            info = PanelInfo(name, name, None, Role.MANAGER, "", package, reason)
            if self._is_closed:  # the server is shutting down: not a fault of the package
                return info
            _log.error("the panel '%s' of the package '%s' cannot be loaded: %s", name, package, reason)
            self._infos[name] = info
        else:
            slot = PanelSlot(description["slot"])
            role = Role(description["role"])
            self._infos[name] = PanelInfo(name, description["title"], slot, role, description["help"], package)
        return self._infos[name]

    def _request(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if not self._admitted.acquire(blocking=False):
            raise RateLimitedError("Too many panels are being rendered.", seconds=5, hint="Try again in a moment.")
        try:
            if not self._running.acquire(timeout=2 * self._timeout_s):
                raise RateLimitedError("Other panels are taking too long.", seconds=5, hint="Try again in a moment.")
            try:
                answer = self._send(name, request)
            finally:
                self._running.release()
        finally:
            self._admitted.release()
        if "error" in answer:
            raise self._to_error(name, answer["error"])
        return answer

    def _send(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request to a process.

        If it fails in a process that was used before, it is repeated in a fresh one, since another panel may have
        left the process in a bad state.
        """
        while True:
            process = self._acquire_process()
            was_fresh = process.is_fresh
            process.is_fresh = False
            started = time.monotonic()
            try:
                answer_json = process.request(request, self._timeout_s)
            except TimeoutError:
                process.close()
                raise PanelError(
                    f"The panel '{name}' took more than {self._timeout_s:g} seconds and was stopped.",
                    hint="Choose parameters with less work, or allow more time: saccade serve --panel-seconds.",
                ) from None
            answer: dict[str, Any] = json.loads(answer_json or b"{}")
            if not answer.get("error", {}).get("trace") and answer:
                with self._lock:
                    self._idle.append(process)
                return answer
            process.close()
            if was_fresh and answer:
                return answer
            if was_fresh:
                raise self._log_error(name, "its process ended", f"after {time.monotonic() - started:.1f} s")

    def _acquire_process(self) -> _PanelProcess:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _PanelProcess(self._command)

    def _to_error(self, name: str, error: Mapping[str, str]) -> SaccadeError:
        if error.get("trace"):
            return self._log_error(name, error["message"], error["trace"])
        types: dict[str, type[SaccadeError]] = {
            error_type.code: error_type for error_type in (NotFoundError, PermissionDeniedError, InvalidValueError)
        }
        return types.get(error["code"], PanelError)(error["message"], hint=error["hint"])

    def _log_error(self, name: str, reason: str, details: str) -> PanelError:
        """Log an error in full under a number, and return an error for the user that names only the number."""
        number = uuid.uuid4().hex[:12]
        _log.error("error %s in the panel '%s': %s\n%s", number, name, reason, details)
        return PanelError(f"The panel '{name}' failed: {reason}.", hint=f"See the server's log for error {number}.")
