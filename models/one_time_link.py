"""Links that open something once: an invitation to set a password, a reset of it."""

import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from tortoise import Model, fields

from models import events
from models.events import transaction
from models.history import HistoryEvent
from models.message import Message
from models.partner import Partner
from models.session import Session, token_hash
from models.text import printable
from models.user import PortalUser, check_password, hash_password

GOOD_FOR = timedelta(hours=72)
FORGOTTEN_GOOD_FOR = timedelta(hours=2)  # asked for by whoever typed an address, so not for long
MOST_FORGOTTEN = 3  # links in an hour that somebody is sent because their address was typed at sign-in


class LinkKind(StrEnum):
    INVITE = 'invite'
    RESET = 'reset'


class Issued(NamedTuple):
    """A link that was just made: its address and token are known here and nowhere else."""

    link: 'OneTimeLink'
    token: str
    address: str
    is_mailed: bool


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

    class Unknown(LookupError):
        """There is no such link."""

    class Closed(ValueError):
        """There was such a link, and it opens nothing any more; the sentence says why and what to do."""

    # -- making --------------------------------------------------------------------------------------------------------

    @classmethod
    async def issue(
        cls, user: PortalUser, kind: LinkKind, *, by: PortalUser | None, at: str = '', by_mail: bool = True,
        lasts: timedelta = GOOD_FOR,
    ) -> Issued:  # fmt: skip
        """Make a link and, where the MSP has a mail server, the mail with it. Belongs in a verb's transaction.

        `at` is where the portal is (https://portal.example.com). One that an administrator makes takes the place of
        those before it.
        """
        from models import mailing

        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        async with transaction():
            if by is not None:
                await cls._open_ones(user).filter(kind=kind).update(revoked_at=now)
            link = await cls.create(
                kind=kind, user=user, token_hash=token_hash(token), made_by_id=by.id if by else None,
                expires_at=now + lasts,
            )  # fmt: skip
            address = f'{at.rstrip("/")}/{kind.value}/{token}'
            hours = int(lasts.total_seconds() // 3600)
            facts = {'name': user.name, 'link': address, 'hours': hours, 'by': by.name if by else '', 'at': at}
            is_mailed = by_mail and bool(await mailing.post(
                await Partner.get(id=user.partner_id), kind=kind.value, recipient=user.email, template=kind.value,
                facts=facts, good_until=link.expires_at,
            ))  # fmt: skip
        return Issued(link, token, address, is_mailed)

    @classmethod
    async def forgotten(cls, email: str, *, at: str) -> bool:
        """Send whoever has this address a link to choose another password; whether one was sent is for the log only.

        Nothing happens for an address that nobody registered has, where the MSP has no mail server, or where the
        person has been sent enough within the hour.
        """
        user = await PortalUser.get_or_none(email=printable(email).lower()[:254]).select_related('partner')
        if user is None or not user.is_active or not user.password_hash or not user.partner.smtp_host:
            return False
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        asked = cls.filter(user_id=user.id, kind=LinkKind.RESET, made_by_id__isnull=True, created_at__gt=hour_ago)
        async with transaction():
            await PortalUser.filter(id=user.id).select_for_update(no_key=True).get()
            if await asked.count() >= MOST_FORGOTTEN:
                return False
            await cls.issue(user, LinkKind.RESET, by=None, at=at, lasts=FORGOTTEN_GOOD_FOR)
            await HistoryEvent.add(
                user.partner_id, 'user.reset_requested', f'A link for another password was sent to {user.email}'
            )
        return True

    @classmethod
    def _open_ones(cls, user: PortalUser):  # type: ignore[no-untyped-def]
        return cls.filter(user_id=user.id, used_at__isnull=True, revoked_at__isnull=True)

    @classmethod
    async def revoke_all_of(cls, user: PortalUser) -> int:
        """Make this person's links worth nothing; how many still opened something."""
        now = datetime.now(UTC)
        return await cls._open_ones(user).filter(expires_at__gt=now).update(revoked_at=now)

    @classmethod
    async def waiting_for(cls, user: PortalUser) -> 'OneTimeLink | None':
        """The newest link that this person can still use."""
        return await cls._open_ones(user).filter(expires_at__gt=datetime.now(UTC)).order_by('-id').first()

    @classmethod
    async def last_mail_to(cls, user: PortalUser) -> dict[str, Any] | None:
        """What became of the last mail with a link for this person: `kind`, `state`, `error` and `at`."""
        kinds = [kind.value for kind in LinkKind]
        mails = Message.filter(partner_id=user.partner_id, recipient=user.email, kind__in=kinds)
        last = await mails.order_by('-id').first()
        if last is None:
            return None
        return {'kind': last.kind, 'state': last.state, 'error': last.error, 'at': last.sent_at or last.created_at}

    # -- using ---------------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, kind: LinkKind, token: str) -> 'OneTimeLink':
        """The link of this token, with its person and their MSP; nothing is used up by looking.

        Raises `Unknown`, and `Closed` for what was a link once: only who holds the token learns that.
        """
        found = None
        if 20 <= len(token) <= 100 and token.isascii():
            found = await cls.get_or_none(token_hash=token_hash(token), kind=kind).select_related('user__partner')
        if found is None:
            raise cls.Unknown('There is no such link.')
        if why := found._closed_because():
            raise cls.Closed(why)
        return found

    def _closed_because(self) -> str:
        again = (
            'Ask your administrator to invite you again.' if self.kind == LinkKind.INVITE
            else 'Ask for another one at sign-in, or ask your administrator.'
        )  # fmt: skip
        if not self.user.is_active:
            return 'Your account is disabled. Ask your administrator.'
        if self.used_at is not None:
            return 'This link has been used. Sign in with the password that was chosen then.'
        if self.revoked_at is not None:
            return f'This link has been withdrawn; a newer one may be in your mail. {again}'
        if self.expires_at <= datetime.now(UTC):
            return f'This link has expired. {again}'
        return ''

    @classmethod
    async def use(cls, kind: LinkKind, token: str, password: str) -> PortalUser:
        """Set the password by this link; whoever holds it may sign in now. All else that was open is ended.

        Raises `PortalUser.WeakPassword`, and then the link is as good as before; `Unknown` or `Closed`.
        """
        link = await cls.open(kind, token)
        who = link.user
        check_password(password, email=who.email, name=who.name, msp=who.partner.name)
        hashed = await hash_password(password)
        now = datetime.now(UTC)
        async with transaction():
            # The person first, as whoever disables them does: then either the link is used or they are disabled.
            user = await PortalUser.filter(id=link.user_id).select_for_update(no_key=True).get()
            used = cls.filter(id=link.id, used_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now)
            if not user.is_active or not await used.update(used_at=now):
                raise cls.Closed((await cls.get(id=link.id).select_related('user'))._closed_because())
            joins = user.registered_at is None and not user.password_hash
            user.password_hash = hashed
            user.registered_at = user.registered_at or now
            await user.save(update_fields=['password_hash', 'registered_at'])
            await cls.revoke_all_of(user)
            await Session.end_all_of(user, because='password changed')
            if joins:
                event, what = 'user.registered', 'took up the invitation'
            else:
                event, what = 'user.password_reset', 'chose another password by a link'
            await HistoryEvent.add(user.partner_id, event, f'{user.email} {what}', by=user)
            events.USERS_CHANGED.emit(user.partner_id)
        return user
