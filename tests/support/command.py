"""Running the program in this process, as a person would from a shell."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from saccade.cli.main import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed and the code that it ended with."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """All of it as running text, whatever the width of the terminal."""
        return " ".join((self.out + self.err).split())


class Command:
    """The program ``saccade`` with a workspace."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
        self.workspace = workspace
        self._capsys, self._monkeypatch = capsys, monkeypatch
        monkeypatch.setenv("SACCADE_WORKSPACE", str(workspace))

    def __call__(self, *args: object) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["saccade", *map(str, args)])
        self._capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        captured = self._capsys.readouterr()
        return Ran(code or 0, captured.out, captured.err)

    def json(self, *args: object) -> Any:
        """The result of a command that must succeed."""
        ran = self(*args, "--json")
        assert ran.code == 0, ran.out + ran.err
        return ran.data

    def fails(self, *args: object, code: str) -> Ran:
        """A command that must end with one clear message, both as text and as JSON; returns the text form."""
        told = self(*args)
        assert told.code == 1, told
        assert "Traceback" not in told.text
        assert told.err.startswith("Error: ")
        as_json = self(*args, "--json") if "--json" not in args and _takes_json(args) else None
        if as_json is not None:
            error = as_json.data["error"]
            assert as_json.code == 1
            assert (error["code"], bool(error["message"])) == (code, True), error
        return told


def _takes_json(args: tuple[object, ...]) -> bool:
    """Commands whose only result is a changed name print no JSON."""
    silent = {
        ("datasets", "alias"),
        ("datasets", "branch"),
        ("datasets", "restore"),
        ("datasets", "rm"),
        ("datasets", "tag"),
        ("datasets", "delete-alias"),
        ("datasets", "delete-branch"),
    }
    silent |= {("models", "export"), ("models", "rm"), ("users", "rm"), ("webhooks", "rm")}
    return tuple(map(str, args[:2])) not in silent
