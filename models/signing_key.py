"""The keys that sign assertions for consoles: one signs, older ones stay public until nothing they signed is good."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from tortoise import Model, fields
from tortoise.expressions import Q

from models.checking import Impossible
from models.events import transaction
from models.partner import Partner
from models.sealed import Unreadable, seal, unseal

ALGORITHM = 'ES256'
STAYS = timedelta(hours=24)  # for which a key is published after another took its place


class SigningKey(Model):
    id = fields.IntField(primary_key=True)
    kid = fields.CharField(max_length=64, unique=True)
    private = fields.TextField()  # PEM, sealed (models/sealed.py); empty once the key is retired
    public: Any = fields.JSONField()  # as in /.well-known/jwks.json
    created_at = fields.DatetimeField(auto_now_add=True)
    retired_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'signing_key'
        table_description = 'A key that signs assertions'

    @classmethod
    async def current(cls) -> 'SigningKey':
        """The key that signs; made at the first use."""
        if (key := await cls._newest()) is not None:
            return key
        async with transaction():
            return await cls._newest() or await cls._make()

    @classmethod
    async def _newest(cls) -> 'SigningKey | None':
        return await cls.filter(retired_at__isnull=True).order_by('-id').first()

    @classmethod
    async def _make(cls) -> 'SigningKey':
        kid = f'{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(6)}'
        made = ECKey.generate_key('P-256', {'kid': kid, 'use': 'sig', 'alg': ALGORITHM})
        private = seal(made.as_pem(private=True).decode(), _purpose(kid))
        return await cls.create(kid=kid, private=private, public=made.as_dict(private=False))

    @classmethod
    async def rotate(cls) -> 'SigningKey':
        """Put a new key in the place of the one that signs.

        The old one never signs again, its private half is forgotten, and consoles go on finding its public half for 24
        hours. Works also where the old one cannot be opened any more.
        """
        from models.history import HistoryEvent

        async with transaction():
            now = datetime.now(UTC)
            key = await cls._make()
            await cls.filter(retired_at__isnull=True).exclude(id=key.id).update(retired_at=now, private='')
            await cls.filter(retired_at__lt=now - STAYS).delete()
            for partner in await Partner.all().order_by('id'):
                await HistoryEvent.add(
                    partner.id, 'console.keys_rotated', f'Assertions for consoles are signed with a new key, {key.kid}'
                )
        return key

    @classmethod
    async def published(cls) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JSON Web Key Set (RFC 7517); makes the first key where there is none."""
        await cls.current()
        good = Q(retired_at__isnull=True) | Q(retired_at__gt=datetime.now(UTC) - STAYS)
        return {'keys': [key.public for key in await cls.filter(good).order_by('-id')]}

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed JWT; raises `Impossible` where the key cannot be opened."""
        try:
            private = unseal(self.private, _purpose(self.kid))
        except Unreadable:
            raise Impossible(
                'The portal cannot open its signing key: PORTAL_SECRET is not the one that it was sealed with. Start '
                'the portal with the secret it had before, or make a new key: python main.py rotate-keys'
            ) from None
        header = {'alg': ALGORITHM, 'typ': 'JWT', 'kid': self.kid}
        return jwt.encode(header, claims, ECKey.import_key(private), algorithms=[ALGORITHM])


def _purpose(kid: str) -> str:
    return f'signing key {kid}'
