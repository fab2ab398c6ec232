"""Output folders that appear completely or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from saccade.io.atomic import atomic_output_dir

KILLED_EXPORT = """
import os, signal, sys
from pathlib import Path
from saccade.io.atomic import atomic_output_dir
with atomic_output_dir(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_export_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    for name in ("out", "out-2"):
        process = subprocess.run([sys.executable, "-c", KILLED_EXPORT, str(tmp_path / name)], check=False)
        assert process.returncode == -9
    leftovers = sorted(path.name for path in tmp_path.iterdir())
    assert len(leftovers) == 2
    (tmp_path / ".out-of-the-way").mkdir()
    with atomic_output_dir(tmp_path / "other") as running, atomic_output_dir(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
        assert running.is_dir(), "the folder of a running export stays"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"out", "other", ".out-of-the-way", next(name for name in leftovers if name.startswith(".out-2-"))}
