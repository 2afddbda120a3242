import secrets
from datetime import UTC, datetime

from tortoise import Model, fields

from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.session import token_hash
from models.text import printable

PREFIX = 'msp_'


class ApiToken(Model):
    """A key for a machine that posts readings; only its hash is kept."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='api_tokens', on_delete=fields.CASCADE
    )
    partner_id: int
    name = fields.CharField(max_length=80)
    token_hash = fields.CharField(max_length=64, unique=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'api_token'
        table_description = 'A key for a machine'

    @classmethod
    async def issue(cls, partner: Partner, name: str) -> str:
        """Make a token and return it: the only time that it is seen."""
        token = PREFIX + secrets.token_urlsafe(32)
        async with transaction():
            await cls.create(partner=partner, name=printable(name)[:80] or 'token', token_hash=token_hash(token))
            await HistoryEvent.add(partner.id, 'token.created', f'API token “{printable(name)[:80]}” was created')
        return token

    @classmethod
    async def holder(cls, token: str) -> 'ApiToken | None':
        """The token's row, if it goes on."""
        from models.database import reader

        if not token.startswith(PREFIX) or len(token) > 100:
            return None
        return await cls.get_or_none(token_hash=token_hash(token), revoked_at__isnull=True, using_db=reader())

    async def used(self) -> None:
        """Note the use, at most once a minute."""
        now = datetime.now(UTC)
        if self.last_used_at is None or (now - self.last_used_at).total_seconds() > 60:
            await ApiToken.filter(id=self.id).update(last_used_at=now)
