"""Alembic migrations of the catalog: an append-only list of revisions, applied when a workspace opens.

To change the tables: edit :mod:`saccade.store.catalog.tables`, add a file to ``versions/`` and set ``HEAD`` to its
revision.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0014"
"""The revision that this code expects. It is compared first: a current catalog opens without loading Alembic."""


def config() -> Config:
    """Return the Alembic configuration of the catalog."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))  # "%" is ConfigParser's
    settings.set_main_option("path_separator", "os")
    return settings


def knows_revision(revision: str) -> bool:
    """Return whether this code has a revision."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def upgrade(connection: Connection) -> None:
    """Apply the missing revisions in the transaction of ``connection``."""
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
