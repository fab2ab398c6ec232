"""Ensure that Chromium is available for the browser tests; install Debian's package if possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    configured = os.environ.get("SACCADE_CHROMIUM")
    return configured or next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> None:
    if chromium() is not None:
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], check=False)
    if chromium() is None:
        sys.exit("Chromium, which the browser tests need, is not installed. Install it or set SACCADE_CHROMIUM.")


if __name__ == "__main__":
    main()
