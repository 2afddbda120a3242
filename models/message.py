"""E-mail on its way: written in the transaction of what it tells of, and sent by a job."""

from enum import StrEnum

from tortoise import Model, fields

from models.partner import Partner


class MessageState(StrEnum):
    WAITING = 'waiting'
    SENT = 'sent'
    FAILED = 'failed'


class Message(Model):
    """A message to one person. Its body may hold a link that opens something: it is sealed, and erased once sent."""

    id = fields.BigIntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='messages', on_delete=fields.CASCADE
    )
    partner_id: int
    # In the header `Message-ID`: whoever receives a message twice after a crash can tell.
    key = fields.CharField(max_length=64, unique=True)
    kind = fields.CharField(max_length=40)
    recipient = fields.CharField(max_length=254)
    subject = fields.CharField(max_length=200)
    body = fields.TextField(default='', db_default='')
    state = fields.CharEnumField(MessageState, max_length=10, default=MessageState.WAITING)
    attempts = fields.IntField(default=0, db_default=0)
    due_at = fields.DatetimeField()
    good_until = fields.DatetimeField(null=True)
    sent_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=300, default='', db_default='')
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = 'message'
        table_description = 'An e-mail that waits, was sent or failed'
        indexes = (('state', 'due_at'), ('partner_id', 'created_at'))
