import asyncio
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from tortoise import Model, fields

from models import events
from models.checking import Invalid
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.text import fold, initial, printable, sort_key

MIN_PASSWORD = 12
MAX_PASSWORD = 256  # argon2 takes any length; a megabyte of password is an attack


class PortalRole(StrEnum):
    """Who somebody is in the portal; what each may do is domain.md 4.3."""

    ADMINISTRATOR = 'administrator'
    IMPLEMENTATION = 'implementation'
    TECHNICIAN = 'technician'
    SALES = 'sales'
    FINANCE = 'finance'
    READ_ONLY = 'read_only'

    @property
    def title(self) -> str:
        return 'MSP administrator' if self == PortalRole.ADMINISTRATOR else self.value.replace('_', ' ').capitalize()


_hasher = PasswordHasher()
# Two at a time: each takes 64 MiB, and a flood of sign-ins must not take the machine with it.
_hashing = ThreadPoolExecutor(2, thread_name_prefix='argon2')
_nobody = _hasher.hash(secrets.token_hex())


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


async def _hash(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


class PortalUser(Model):
    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='users', on_delete=fields.RESTRICT
    )
    partner_id: int
    name = fields.CharField(max_length=120, description='Name')
    email = fields.CharField(max_length=254, unique=True, description='E-mail')
    password_hash = fields.CharField(max_length=200, default='', db_default='')
    role = fields.CharEnumField(PortalRole, max_length=20, description='Portal role')
    sees_all = fields.BooleanField(default=True, db_default=True, description='Sees all customers')
    can_sign_in = fields.BooleanField(default=True, db_default=True)
    disabled_at = fields.DatetimeField(null=True)
    registered_at = fields.DatetimeField(null=True)
    time_zone = fields.CharField(max_length=64, default='', db_default='', description='Time zone')
    # Of the second factor: the sealed key, since when it is asked for, and the last time step whose code was taken.
    totp_key = fields.CharField(max_length=300, default='', db_default='')
    totp_since = fields.DatetimeField(null=True)
    totp_step = fields.BigIntField(default=0, db_default=0)
    # Who this is at the OIDC provider, once they have signed in through it.
    oidc_issuer = fields.CharField(max_length=300, default='', db_default='')
    oidc_subject = fields.CharField(max_length=255, default='', db_default='')
    # What lists of people search, are filed under and sort by; `set_name` alone writes them.
    name_key = fields.CharField(max_length=140, default='', db_default='')
    initial = fields.CharField(max_length=1, default='', db_default='')
    search_key = fields.CharField(max_length=400, default='', db_default='')
    theme = fields.CharField(max_length=10, default='system', db_default='system')
    preferences: Any = fields.JSONField(default=dict, db_default='{}')
    last_sign_in_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    # What lists of people search, are filed under and sort by.
    SEARCHED_IN = 'search_key'
    FILED_UNDER = 'initial'
    SORTED_BY = {'name': 'name_key'}

    class Meta:
        table = 'portal_user'
        table_description = 'Somebody who signs in'

    class WeakPassword(ValueError):
        """The password is too short or too long."""

    class EmailTaken(ValueError):
        """Somebody has this e-mail address."""

    def __str__(self) -> str:
        return self.name

    def set_name(self, name: str) -> None:
        """Set the name and what lists go by."""
        self.name = name
        self.name_key = sort_key(name)[:140]
        self.initial = initial(name)
        self.search_key = '\n'.join(fold(part) for part in (name, self.email))[:400]

    @property
    def is_active(self) -> bool:
        return self.can_sign_in and self.disabled_at is None

    @classmethod
    async def register(
        cls, partner: Partner, *, name: str, email: str, password: str, role: PortalRole, sees_all: bool = True
    ) -> 'PortalUser':
        """Create somebody who can sign in at once. Raises WeakPassword, EmailTaken or ValueError (a bad address)."""
        name, email = printable(name)[:120], email.strip().lower()
        local, at, domain = email.partition('@')
        if not (local and at and '.' in domain) or len(email) > 254 or not email.isprintable() or ' ' in email:
            raise ValueError(f'{email[:80]!r} is not an e-mail address.')
        check_password(password)
        password_hash = await _hash(password)
        async with transaction():
            if await cls.filter(email=email).exists():
                raise cls.EmailTaken(f'{email} is already somebody’s address.')
            user = cls(
                partner=partner, email=email, role=role, sees_all=sees_all, password_hash=password_hash,
                registered_at=datetime.now(UTC),
            )  # fmt: skip
            user.set_name(name or email)
            await user.save()
            events.USERS_CHANGED.emit(partner.id)
            await HistoryEvent.add(partner.id, 'user.registered', f'{email} was registered as {role.value}')
        return user

    @classmethod
    async def signing_in(cls, email: str, password: str) -> 'PortalUser | None':
        """The active user with this address and password, or None after the same time whatever was wrong."""
        user = await cls.get_or_none(email=printable(email).lower()[:254])
        stored = user.password_hash if user and user.is_active and user.password_hash else _nobody
        loop = asyncio.get_running_loop()
        matches = await loop.run_in_executor(_hashing, _matches, stored, password[:MAX_PASSWORD])
        return user if matches and user is not None and stored is not _nobody else None

    async def set_password(self, password: str, *, keep_session: int | None = None) -> None:
        """Change the password and end every session but `keep_session`."""
        from models.session import Session

        check_password(password)
        password_hash = await _hash(password)
        async with transaction():
            self.password_hash = password_hash
            await self.save(update_fields=['password_hash'])
            await HistoryEvent.add(self.partner_id, 'user.password_changed', f'{self.email} changed the password')
            await Session.end_all_of(self, except_id=keep_session, because='password changed')

    async def disable(self, at: datetime) -> None:
        """Take away the right to sign in; open pages end."""
        from models.session import Session

        async with transaction():
            if not await PortalUser.filter(id=self.id, disabled_at__isnull=True).update(disabled_at=at):
                return
            self.disabled_at = at
            await HistoryEvent.add(self.partner_id, 'user.disabled', f'{self.email} was disabled')
            await Session.end_all_of(self, because='disabled')
            events.SIGHT_CHANGED.emit(self.id)

    async def prefer(self, key: str, value: Any) -> None:
        """Remember how this person likes something to be; not worth a line of history."""
        async with transaction():
            fresh = await PortalUser.get(id=self.id)
            fresh.preferences = {**(fresh.preferences or {}), key: value}
            await fresh.save(update_fields=['preferences'])
        self.preferences = fresh.preferences

    async def choose_theme(self, theme: str) -> None:
        if theme not in ('light', 'dark', 'system'):
            raise Invalid('theme', 'is light, dark or system')
        self.theme = theme
        await PortalUser.filter(id=self.id).update(theme=theme)


def check_password(password: str) -> None:
    if len(password) < MIN_PASSWORD:
        raise PortalUser.WeakPassword(f'A password has at least {MIN_PASSWORD} characters.')
    if len(password) > MAX_PASSWORD:
        raise PortalUser.WeakPassword(f'A password has at most {MAX_PASSWORD} characters.')


def demo_password(secret: str) -> str:
    """The one password of the demo users: made from the secret, so that it is stored nowhere."""
    digest = hmac.new(secret.encode(), b'demo password', 'sha256').hexdigest()
    return '-'.join(digest[i : i + 4] for i in range(0, 16, 4))
