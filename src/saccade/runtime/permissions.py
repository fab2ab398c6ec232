"""Permissions of the files that this program creates.

The files of a workspace are readable by their owner only, because they contain password hashes and secrets. Files that
are written for the user, such as exports, have the permissions that the user's umask gives.
"""

from __future__ import annotations

import os
from pathlib import Path

_PRIVATE_UMASK = 0o077
_user_umask: int | None = None


def make_new_files_private() -> None:
    """Let this process and its children create files that only their owner may read.

    Only for programs: in a library, the umask belongs to the program that uses it.
    """
    global _user_umask  # noqa: PLW0603 (the umask is a property of the process)
    if _user_umask is None:
        _user_umask = os.umask(_PRIVATE_UMASK)


def apply_user_umask(path: Path, *, recursive: bool = True) -> None:
    """Give a new file or folder the permissions that the user's umask gives.

    Args:
        path: The file or folder.
        recursive: Also change the content of the folder; not if other threads may be writing to it.
    """
    if _user_umask is None or os.name == "nt":
        return
    _chmod(path, _user_umask)
    if recursive and path.is_dir() and not path.is_symlink():
        for child in path.rglob("*"):
            _chmod(child, _user_umask)


def _chmod(path: Path, umask: int) -> None:
    if not path.is_symlink():
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
