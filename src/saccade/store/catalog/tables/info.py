"""What the catalog says about itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base


class CatalogInfoRow(Base):
    """The only row of its table: to which workspace the catalog belongs, and how old it is.

    ``copies`` counts the copies that were made of the catalog. A copy with a higher number proves that this catalog is
    older than the copy. ``restored_from`` is the time of the copy from which the catalog was restored, until a user
    accepts the result.
    """

    __tablename__ = "catalog_info"
    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    copies: Mapped[int] = mapped_column(default=0)
    restored_from: Mapped[datetime | None]
