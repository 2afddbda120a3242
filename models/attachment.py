from enum import StrEnum
from typing import TYPE_CHECKING

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.customer import Customer


class AttachmentKind(StrEnum):
    ORDER = 'order'
    ADDENDUM = 'addendum'
    RFI_COPY = 'rfi_copy'
    OTHER = 'other'

    @property
    def title(self) -> str:
        return {'order': 'Order', 'addendum': 'Addendum', 'rfi_copy': 'RFI copy', 'other': 'Upload'}[self.value]


class AttachmentState(StrEnum):
    """How far the safe PDF is."""

    WAITING = 'waiting'
    WORKING = 'working'
    READY = 'ready'
    FAILED = 'failed'


class Attachment(Model):
    """A document of a customer. What is opened is always the safe PDF, never what was uploaded."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='attachments', on_delete=fields.CASCADE
    )
    customer_id: int
    kind = fields.CharEnumField(AttachmentKind, max_length=10, default=AttachmentKind.OTHER)
    name = fields.CharField(max_length=200)
    # Under which random name original and PDF lie; says nothing of either.
    stored = fields.CharField(max_length=40, unique=True)
    size = fields.BigIntField()
    sha256 = fields.CharField(max_length=64)
    state = fields.CharEnumField(AttachmentState, max_length=8, default=AttachmentState.WAITING)
    reason = fields.CharField(max_length=200, default='', db_default='')
    pages = fields.IntField(null=True)
    pdf_size = fields.BigIntField(null=True)
    uploaded_by_id = fields.IntField(null=True)
    uploaded_by = fields.CharField(max_length=120, default='', db_default='')
    uploaded_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    done_at = fields.DatetimeField(null=True)
    original_deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'attachment'
        table_description = 'A document of a customer'
        unique_together = (('customer_id', 'sha256'),)
        indexes = (('state', 'uploaded_at'),)
