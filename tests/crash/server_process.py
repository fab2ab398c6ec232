"""``saccade serve`` as a subprocess that can be killed and restarted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx


class Server:
    """A server process; ``http`` is a client with a token, and is replaced by :meth:`restart`."""

    http: httpx.Client

    def __init__(self, folder: Path, token: str, *, workers: int) -> None:
        self._folder, self._token, self._workers = folder, token, workers
        self._process: subprocess.Popen[str] | None = None
        self.restart()

    def restart(self) -> None:
        """Kill the server, start it again, and wait until it is ready."""
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
        output = ""
        for line in self._process.stdout:
            output += line
            if line.startswith("}"):
                break
        headers = {"Authorization": f"Bearer {self._token}"}
        self.http = httpx.Client(base_url=json.loads(output)["api"], headers=headers, timeout=60)

    def kill(self) -> None:
        """Kill the server without waiting for it."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kill the server, and wait until it has exited."""
        self.kill()
        if self._process is not None:
            self.http.close()
            self._process.communicate()
