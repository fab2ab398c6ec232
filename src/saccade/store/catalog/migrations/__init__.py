"""The history of the catalog's tables: an append-only list of Alembic revisions, applied when a workspace opens.

To change the tables: edit :mod:`saccade.store.catalog.tables`, add a file to ``versions/`` and set ``HEAD`` to its
revision.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0008"
"""The revision that this code expects; compared first, so that a current catalog opens without loading Alembic."""


def config() -> Config:
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def knows_revision(revision: str) -> bool:
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def upgrade(connection: Connection) -> None:
    """Apply what is missing, within the transaction of ``connection``."""
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
