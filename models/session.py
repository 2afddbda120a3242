import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tortoise import Model, fields
from tortoise.expressions import Q
from tortoise.functions import Count

from models import events
from models.events import transaction
from models.history import HistoryEvent
from models.text import printable
from models.user import PortalUser


class SessionKind(StrEnum):
    """What a session was opened for; `pages/guard.py` says how far each reaches."""

    USER = 'user'
    RFI_LINK = 'rfi_link'
    DISPLAY = 'display'
    SET_UP = 'set_up'


def token_hash(token: str) -> str:
    # A token has 256 random bits: a plain hash is enough, and a stolen database opens nothing.
    return hashlib.sha256(token.encode()).hexdigest()


class Session(Model):
    id = fields.IntField(primary_key=True)
    token_hash = fields.CharField(max_length=64, unique=True)
    kind = fields.CharEnumField(SessionKind, max_length=12, default=SessionKind.USER)
    user: fields.ForeignKeyNullableRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='sessions', null=True, on_delete=fields.CASCADE
    )
    user_id: int | None
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    ended_because = fields.CharField(max_length=60, default='', db_default='')
    address = fields.CharField(max_length=64, default='', db_default='')
    agent = fields.CharField(max_length=200, default='', db_default='')

    class Meta:
        table = 'session'
        table_description = 'A signed-in browser, screen or link'
        indexes = (('user_id', 'ended_at'), ('expires_at',))

    @classmethod
    async def open(cls, user: PortalUser, *, lasts: timedelta, address: str, agent: str) -> tuple['Session', str]:
        """Begin a session; return it and its token, which is stored nowhere."""
        token = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        async with transaction():
            session = await cls.create(
                token_hash=token_hash(token), user=user, expires_at=now + lasts, address=address[:64], agent=agent[:200]
            )
            await PortalUser.filter(id=user.id).update(last_sign_in_at=now)
            await HistoryEvent.add(user.partner_id, 'user.signed_in', f'{user.email} signed in', by=user)
            events.USERS_CHANGED.emit(user.partner_id)
        return session, token

    @classmethod
    async def live(cls, token: str) -> 'Session | None':
        """The session of this token with its user, if it goes on and the user may sign in."""
        from models.database import reader

        if not 20 <= len(token) <= 100:
            return None
        session = await (
            cls.filter(token_hash=token_hash(token), ended_at__isnull=True, expires_at__gt=datetime.now(UTC))
            .using_db(reader())
            .select_related('user')
            .first()
        )
        return session if session and (session.user is None or session.user.is_active) else None

    @classmethod
    async def over(cls, ids: set[int]) -> set[int]:
        """Which of these sessions are over, for whatever reason and by whatever process."""
        from models.database import reader

        if not ids:
            return set()
        live = (
            await cls.filter(id__in=list(ids), ended_at__isnull=True, expires_at__gt=datetime.now(UTC))
            .filter(Q(user_id__isnull=True) | Q(user__disabled_at__isnull=True, user__can_sign_in=True))
            .using_db(reader())
            .values_list('id', flat=True)
        )
        return ids - set(live)  # type: ignore[arg-type]

    async def end(self, *, because: str) -> None:
        """Sign out."""
        async with transaction():
            if await Session.filter(id=self.id, ended_at__isnull=True).update(
                ended_at=datetime.now(UTC), ended_because=because[:60]
            ):
                events.SESSIONS_ENDED.emit([self.id])
                if owner := await PortalUser.get_or_none(id=self.user_id):
                    events.USERS_CHANGED.emit(owner.partner_id)

    @classmethod
    async def end_all_of(
        cls, user: PortalUser, *, because: str, except_id: int | None = None, only_id: int | None = None
    ) -> int:
        """End this person's sessions but `except_id`, or only `only_id`; how many there were."""
        async with transaction():
            running = cls.filter(user_id=user.id, ended_at__isnull=True)
            if except_id is not None:
                running = running.exclude(id=except_id)
            if only_id is not None:
                running = running.filter(id=only_id)
            ids = list(await running.values_list('id', flat=True))
            if ids:
                await cls.filter(id__in=ids).update(ended_at=datetime.now(UTC), ended_because=because[:60])
                events.SESSIONS_ENDED.emit(ids)  # type: ignore[arg-type]
                events.USERS_CHANGED.emit(user.partner_id)
        return len(ids)

    @classmethod
    async def running_of(cls, user_id: int) -> 'Sequence[Session]':
        """This person's sessions that go on, the newest first."""
        running = cls.filter(user_id=user_id, ended_at__isnull=True, expires_at__gt=datetime.now(UTC))
        return await running.order_by('-id')

    @classmethod
    async def count_running(cls, user_ids: list[int]) -> dict[int, int]:
        """How many sessions of each of these people go on; who has none is left out."""
        from models.database import rows

        if not user_ids:
            return {}
        running = cls.filter(user_id__in=user_ids, ended_at__isnull=True, expires_at__gt=datetime.now(UTC))
        found = await rows(running.annotate(n=Count('id')).group_by('user_id').values('user_id', 'n'))
        return {row['user_id']: row['n'] for row in found}

    @property
    def browser(self) -> str:
        """What it was opened with, in words: Firefox on Windows."""
        return browser_in_words(self.agent)

    @classmethod
    async def prune(cls, before: datetime) -> int:
        """Forget sessions that ended or expired before `before`."""
        gone = (
            await cls.filter(Q(expires_at__lt=before) | Q(ended_at__lt=before)).limit(5000).values_list('id', flat=True)
        )
        return await cls.filter(id__in=list(gone)).delete() if gone else 0


# What browsers call themselves, the most particular first: each of them claims to be others as well.
_BROWSERS = (
    ('Edg', 'Edge'), ('OPR/', 'Opera'), ('SamsungBrowser', 'Samsung Internet'), ('Firefox', 'Firefox'),
    ('FxiOS', 'Firefox'), ('Chromium', 'Chromium'), ('CriOS', 'Chrome'), ('Chrome', 'Chrome'), ('Safari', 'Safari'),
)  # fmt: skip
_SYSTEMS = (
    ('iPhone', 'iPhone'), ('iPad', 'iPad'), ('Android', 'Android'), ('Windows', 'Windows'), ('CrOS', 'ChromeOS'),
    ('Mac OS X', 'macOS'), ('Linux', 'Linux'),
)  # fmt: skip


def browser_in_words(agent: str) -> str:
    """Firefox on Windows; what is none we know is quoted by its first word."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), '')
    system = next((name for sign, name in _SYSTEMS if sign in agent), '')
    if browser or system:
        return f'{browser or "A browser"} on {system}' if system else browser
    return printable(agent).split(' ')[0][:40] or 'Unknown'
