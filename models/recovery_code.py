"""What somebody signs in with who has lost the second factor: ten codes, each good once, kept as hashes."""

from tortoise import Model, fields

from models.user import PortalUser


class RecoveryCode(Model):
    id = fields.IntField(primary_key=True)
    user: fields.ForeignKeyRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='recovery_codes', on_delete=fields.CASCADE
    )
    user_id: int
    code_hash = fields.CharField(max_length=64)
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'recovery_code'
        table_description = 'A code in place of the second factor'
        unique_together = (('user_id', 'code_hash'),)
