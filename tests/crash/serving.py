"""``saccade serve`` in a process of its own, to be killed and begun anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx


class Server:
    """A server; ``http`` asks it with a token, and is another one after :meth:`begin`."""

    http: httpx.Client

    def __init__(self, folder: Path, token: str, *, workers: int) -> None:
        self._folder, self._token, self._workers = folder, token, workers
        self._process: subprocess.Popen[str] | None = None
        self.begin()

    def begin(self) -> None:
        """Begin it anew, and wait until it answers."""
        self.end()
        command = [
            sys.executable,
            "-m",
            "saccade",
            "serve",
            "--port",
            "0",
            "--json",
            "--workers",
            str(self._workers),
            "--workspace",
            str(self._folder),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if line.startswith("}"):
                break
        headers = {"Authorization": f"Bearer {self._token}"}
        self.http = httpx.Client(base_url=json.loads(said)["api"], headers=headers, timeout=60)

    def kill(self) -> None:
        """Kill it at once, whatever it does."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.kill()
        if self._process is not None:
            self.http.close()
            self._process.communicate()
