"""Links that open something once: an invitation to set a password, a reset of it."""

from enum import StrEnum

from tortoise import Model, fields

from models.user import PortalUser


class LinkKind(StrEnum):
    INVITE = 'invite'
    RESET = 'reset'


class OneTimeLink(Model):
    """Only the hash of the token is kept."""

    id = fields.IntField(primary_key=True)
    kind = fields.CharEnumField(LinkKind, max_length=10)
    user: fields.ForeignKeyRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='links', on_delete=fields.CASCADE
    )
    user_id: int
    token_hash = fields.CharField(max_length=64, unique=True)
    made_by_id = fields.IntField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'one_time_link'
        table_description = 'A link that can be used once'
        indexes = (('user_id', 'kind'), ('expires_at',))
