"""The tables of the catalog. Every change needs an Alembic revision in :mod:`saccade.store.catalog.migrations`."""

from saccade.store.catalog.tables.annotation import (
    LabelClassRow,
    LabelEditRow,
    LabelItemRow,
    LabelObjectRow,
    LabelSetRow,
)
from saccade.store.catalog.tables.auth import (
    AuditRow,
    IdentityRow,
    InvitationRow,
    LoginFailureRow,
    MemberRow,
    PendingLoginRow,
    SessionRow,
    TokenRow,
    UserRow,
)
from saccade.store.catalog.tables.base import DEFAULT_PROJECT, Base, ProjectRow, ProjectScoped, new_uid, now
from saccade.store.catalog.tables.datasets import (
    BranchRow,
    DatasetAliasRow,
    DatasetRow,
    DatasetUseRow,
    DatasetViewRow,
    VersionRow,
)
from saccade.store.catalog.tables.info import CatalogInfoRow
from saccade.store.catalog.tables.jobs import IdempotentRequestRow, JobRow
from saccade.store.catalog.tables.models import (
    AliasChangeRow,
    EvaluationRow,
    ModelAliasRow,
    ModelRow,
    ModelVersionRow,
    RunRow,
)
from saccade.store.catalog.tables.webhooks import WebhookDeliveryRow, WebhookRow

__all__ = [
    "DEFAULT_PROJECT",
    "AliasChangeRow",
    "AuditRow",
    "Base",
    "BranchRow",
    "CatalogInfoRow",
    "DatasetAliasRow",
    "DatasetRow",
    "DatasetUseRow",
    "DatasetViewRow",
    "EvaluationRow",
    "IdempotentRequestRow",
    "IdentityRow",
    "InvitationRow",
    "JobRow",
    "LabelClassRow",
    "LabelEditRow",
    "LabelItemRow",
    "LabelObjectRow",
    "LabelSetRow",
    "LoginFailureRow",
    "MemberRow",
    "ModelAliasRow",
    "ModelRow",
    "ModelVersionRow",
    "PendingLoginRow",
    "ProjectRow",
    "ProjectScoped",
    "RunRow",
    "SessionRow",
    "TokenRow",
    "UserRow",
    "VersionRow",
    "WebhookDeliveryRow",
    "WebhookRow",
    "new_uid",
    "now",
]
