import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import events
from models.checking import Invalid
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.session import token_hash
from models.text import printable

if TYPE_CHECKING:
    from models.user import PortalUser

PREFIX = 'msp_'
MOST = 100  # of an MSP, at the same time


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
    async def issue(cls, partner: Partner, name: str, *, by: 'PortalUser | None' = None) -> str:
        """Make a token and return it: the only time that it is seen. Raises `Invalid`, `Refused`."""
        from models import rights

        if by is not None:
            rights.require(by, 'token.manage')
        name = printable(name)[:80] or ('' if by else 'token')
        if not name:
            raise Invalid('name', 'is empty')
        token = PREFIX + secrets.token_urlsafe(32)
        async with transaction():
            if by is not None and await cls.filter(partner_id=partner.id, revoked_at__isnull=True).count() >= MOST:
                raise Invalid('name', f'cannot be stored: there are {MOST} tokens already; revoke some')
            await cls.create(partner=partner, name=name, token_hash=token_hash(token))
            await HistoryEvent.add(partner.id, 'token.created', f'API token “{name}” was created', by=by)
            events.PARTNER_CHANGED.emit(partner.id)
        return token

    async def revoke(self, by: 'PortalUser') -> None:
        """What holds the token is answered no more. A token that was revoked stays so."""
        from models import rights

        rights.require(by, 'token.manage')
        async with transaction():
            now = datetime.now(UTC)
            mine = ApiToken.filter(id=self.id, partner_id=by.partner_id, revoked_at__isnull=True)
            if await mine.update(revoked_at=now):
                self.revoked_at = now
                await HistoryEvent.add(self.partner_id, 'token.revoked', f'API token “{self.name}” was revoked', by=by)
                events.PARTNER_CHANGED.emit(self.partner_id)

    @classmethod
    async def of(cls, partner_id: int) -> list[dict[str, Any]]:
        """The tokens of an MSP as its settings show them: those in use first, then those revoked, newest first."""
        from models.database import reader

        found = await cls.filter(partner_id=partner_id).using_db(reader()).order_by('-id').limit(200)
        found.sort(key=lambda token: token.revoked_at is not None)
        return [
            {
                'id': token.id, 'name': token.name, 'created_at': token.created_at, 'used_at': token.last_used_at,
                'revoked_at': token.revoked_at,
            }
            for token in found
        ]  # fmt: skip

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
