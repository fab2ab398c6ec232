"""Running panels: in processes of their own that are asked again and again, and killed where they take too long."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
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
from saccade.app.panels.panel import PANELS, Place
from saccade.app.panels.worker import MOST_BYTES, described
from saccade.core.errors import (
    InvalidValueError,
    NotAllowedError,
    NotFoundError,
    PanelError,
    SaccadeError,
    TooManyError,
    nearest,
)
from saccade.core.roles import Role
from saccade.store.workspace import Workspace

SECONDS = 20.0
_BEGIN = 60.0
"""Seconds in which a process begins, on a machine that is busy."""
_PATIENCE = 30.0
_OWN = "saccade"
_PROCESSES, _WAITING = 2, 8
_log = logging.getLogger("saccade.panels")


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """A panel that is installed; ``error`` says why it cannot be shown, where its package is broken."""

    name: str
    title: str
    place: Place | None
    role: Role
    help: str
    package: str
    error: str = ""


PanelList = list[PanelFacts]
Blocks = list[AnyBlock]
_BLOCKS: TypeAdapter[Blocks] = TypeAdapter(Blocks)


class _Process:
    """A process that answers one question at a time."""

    def __init__(self, command: list[str]) -> None:
        self.is_fresh = True
        self._process = subprocess.Popen(  # noqa: S603 (this program itself)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True, encoding="utf-8"
        )
        self._end = weakref.finalize(self, _kill, self._process)
        if self._line(_BEGIN) is None:
            self.close()
            raise PanelError("The process of the panels did not begin.", hint="The server's log says why.")

    def ask(self, question: Mapping[str, Any], seconds: float) -> str | None:
        """The line that it answers; None where the process ended instead. TimeoutError after so many seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            return None
        return self._line(seconds)

    def _line(self, seconds: float) -> str | None:
        assert self._process.stdout is not None
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            _stop(self._process)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline(2 * MOST_BYTES)
        finally:
            timer.cancel()
        if is_late.is_set():
            raise TimeoutError
        return line if line.endswith("\n") else None

    def close(self) -> None:
        self._end()


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process, and what it began itself."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()


def _kill(process: subprocess.Popen[str]) -> None:
    _stop(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


class Panels:
    """The panels of this installation, for a workspace; used by several threads.

    At most two run at once, and few wait: whoever looks at panels takes no more of a server than that.

    Args:
        seconds: that a panel may take.
        memory: bytes that a process of panels may take beyond what it begins with; None for no limit.
    """

    def __init__(self, workspace: Workspace, *, seconds: float = SECONDS, memory: int | None = None) -> None:
        self._command = [sys.executable, "-m", "saccade.app.panels.worker", str(workspace.location), str(memory or 0)]
        self._seconds = seconds
        self._room = threading.Semaphore(_PROCESSES)
        self._places = threading.Semaphore(_PROCESSES + _WAITING)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._facts: dict[str, PanelFacts] = {}
        self._is_closed = False
        self._looker = threading.Thread(target=self._look, name="saccade-panels", daemon=True)

    def begin(self) -> None:
        """Look, in the background, at which panels there are."""
        with self._lock:
            if self._looker.ident is None:
                self._looker.start()

    def _look(self) -> None:
        for name in PANELS.names():
            if self._is_closed:
                return
            with suppress(TooManyError, OSError):
                self._described(name)

    def list(self, role: Role) -> PanelList:
        """The panels that somebody of a role may see; for managers also those that are broken.

        Packages that take very long to load are left out until they have.
        """
        self.begin()
        self._looker.join(_PATIENCE)
        found = [self._facts[name] for name in sorted(self._facts)]
        return [one for one in found if (role.covers(Role.MANAGER) if one.error else role.covers(one.role))]

    def show(
        self,
        name: str,
        project: str,
        role: Role,
        *,
        dataset: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Blocks:
        """The blocks of a panel.

        Raises:
            NotFoundError: there is no such panel, dataset or item.
            NotAllowedError: the role is too small for it.
            PanelError: it failed, took too long or gave what cannot be shown.
        """
        if name not in PANELS:
            raise NotFoundError(f"There is no panel '{name[:100]}'.", hint=nearest(name[:100], PANELS.names()))
        facts = self._described(name)
        if facts.error:
            raise PanelError(f"The panel '{name}' cannot be loaded.", hint=facts.error)
        if not role.covers(facts.role):
            raise NotAllowedError(f"A {role} may not see the panel '{name}'.", hint=f"It takes a {facts.role}.")
        question = {
            "panel": name,
            "project": project,
            "role": str(role),
            "dataset": dataset,
            "key": key,
            "parameters": dict(parameters or {}),
        }
        answer = self._asked(name, question)
        try:
            return _BLOCKS.validate_python(answer["blocks"])
        except (KeyError, ValidationError) as error:
            raise self._failed(name, "what it gave cannot be shown", repr(error)) from error

    def close(self) -> None:
        """End the processes that wait to be asked."""
        self._is_closed = True
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()

    def _described(self, name: str) -> PanelFacts:
        """What a panel says of itself, asked once: packages do not change while the server runs."""
        if name not in self._facts:
            package = PANELS.package(name)
            try:
                # Our own ones are loaded here: a server without others begins no process before one is looked at.
                told = described(name) if package == _OWN else self._asked(name, {"describe": name})["described"]
            except TooManyError:
                raise
            except SaccadeError as error:
                why = f"{error.message} {error.hint}".strip()
                if self._is_closed:  # what ends with the server is no fault of a package
                    return PanelFacts(name, name, None, Role.MANAGER, "", package, why)
                _log.error("the panel '%s' of the package '%s' cannot be loaded: %s", name, package, why)
                self._facts[name] = PanelFacts(name, name, None, Role.MANAGER, "", package, why)
            else:
                place, role = Place(told["place"]), Role(told["role"])
                self._facts[name] = PanelFacts(name, told["title"], place, role, told["help"], package)
        return self._facts[name]

    def _asked(self, name: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a process to a question; SaccadeError for an error in it."""
        if not self._places.acquire(blocking=False):
            raise TooManyError("Too many panels are being shown.", seconds=5, hint="Try again in a moment.")
        try:
            if not self._room.acquire(timeout=2 * self._seconds):
                raise TooManyError("Other panels take long.", seconds=5, hint="Try again in a moment.")
            try:
                answer = self._answer(name, question)
            finally:
                self._room.release()
        finally:
            self._places.release()
        if "error" in answer:
            raise self._told(name, answer["error"])
        return answer

    def _answer(self, name: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a process. What fails in one that was used before is tried in a fresh one: it may have been
        spoilt by another panel."""
        while True:
            process = self._taken()
            was_fresh, process.is_fresh = process.is_fresh, False
            began = time.monotonic()
            try:
                line = process.ask(question, self._seconds)
            except TimeoutError:
                process.close()
                raise PanelError(
                    f"The panel '{name}' took more than {self._seconds:g} seconds, and was ended.",
                    hint="Ask it for less, or give panels more time: saccade serve --panel-seconds.",
                ) from None
            answer: dict[str, Any] = {} if line is None else json.loads(line)
            if not answer.get("error", {}).get("trace") and answer:
                with self._lock:
                    self._idle.append(process)
                return answer
            process.close()
            if was_fresh and answer:
                return answer
            if was_fresh:
                raise self._failed(name, "its process ended", f"after {time.monotonic() - began:.1f} s")

    def _taken(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Process(self._command)

    def _told(self, name: str, error: Mapping[str, str]) -> SaccadeError:
        if error.get("trace"):
            return self._failed(name, error["message"], error["trace"])
        kinds: dict[str, type[SaccadeError]] = {
            one.code: one for one in (NotFoundError, NotAllowedError, InvalidValueError)
        }
        return kinds.get(error["code"], PanelError)(error["message"], hint=error["hint"])

    def _failed(self, name: str, why: str, more: str) -> PanelError:
        number = uuid.uuid4().hex[:12]
        _log.error("error %s in the panel '%s': %s\n%s", number, name, why, more)
        return PanelError(f"The panel '{name}' failed: {why}.", hint=f"The server's log says more ({number}).")
