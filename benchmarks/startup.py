"""Start-up of the command line in CPU time, as a ratio to the imports that it cannot do without.

Run: ``python benchmarks/startup.py [--runs N]``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def cpu_seconds(command: list[str], runs: int) -> float:
    """Return the least CPU time of several runs of a command, in seconds."""
    times = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def _environment() -> dict[str, str]:
    # Without compiled modules on the disk every process would compile all of them.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    saccade = [sys.executable, "-m", "saccade"]
    with tempfile.TemporaryDirectory() as folder:
        workspace = str(Path(folder) / "workspace")
        subprocess.run([*saccade, "init", workspace], check=True, stdout=subprocess.DEVNULL)
        for name, command, imports in (
            ("saccade --help", [*saccade, "--help"], "import typer, rich"),
            (
                "saccade datasets list",
                [*saccade, "datasets", "list", "--workspace", workspace],
                "import sqlalchemy, pyarrow",
            ),
        ):
            time = cpu_seconds(command, runs)
            baseline = cpu_seconds([sys.executable, "-c", imports], runs)
            print(f"{name}: {time:.3f} s CPU, {time / baseline:.2f} times `{imports}` ({baseline:.3f} s)")


if __name__ == "__main__":
    main()
