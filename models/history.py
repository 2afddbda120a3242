from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.user import PortalUser


class HistoryEvent(Model):
    id = fields.BigIntField(primary_key=True)
    # Plain numbers, not foreign keys: nothing that is deleted elsewhere may reach into the history.
    partner_id = fields.IntField()
    customer_id = fields.IntField(null=True)
    kind = fields.CharField(max_length=40)
    at = fields.DatetimeField()
    actor_id = fields.IntField(null=True)
    actor = fields.CharField(max_length=120, default='', db_default='')
    summary = fields.CharField(max_length=400)
    data: Any = fields.JSONField(default=dict, db_default='{}')

    class Meta:
        table = 'history_event'
        table_description = 'Something that happened, never changed and never deleted'
        indexes = (('customer_id', 'at'), ('partner_id', 'at'))

    @classmethod
    async def add(
        cls, partner_id: int, kind: str, summary: str, *, customer_id: int | None = None,
        by: 'PortalUser | None' = None, at: datetime | None = None, **data: Any,
    ) -> None:  # fmt: skip
        """Write one entry; called by a verb inside its transaction."""
        await cls.create(
            partner_id=partner_id, customer_id=customer_id, kind=kind, at=at or datetime.now(UTC),
            actor_id=by.id if by else None, actor=by.name[:120] if by else '', summary=summary[:400], data=data,
        )  # fmt: skip
