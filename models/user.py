import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from tortoise import Model, fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from models import checking, events
from models.checking import Impossible, Invalid
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.password import MAX_PASSWORD, why_refused
from models.text import fold, initial, printable, sort_key

if TYPE_CHECKING:
    from models.one_time_link import Issued
    from models.sight import Sight


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


class UserState(StrEnum):
    """How far somebody has come: invited and without a password yet, registered, disabled; or nobody at all."""

    INVITED = 'invited'
    REGISTERED = 'registered'
    DISABLED = 'disabled'
    GENERIC = 'generic'

    @property
    def title(self) -> str:
        return 'Cannot sign in' if self == UserState.GENERIC else self.value.capitalize()


_hasher = PasswordHasher()
# Two at a time: each takes 64 MiB, and a flood of sign-ins must not take the machine with it.
_hashing = ThreadPoolExecutor(2, thread_name_prefix='argon2')
_nobody = _hasher.hash(secrets.token_hex())


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


async def hash_password(password: str) -> str:
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
    # E-mail about Connect: off until somebody wants it; `digest_on` is the day of the last digest.
    wants_digest = fields.BooleanField(default=False, db_default=False, description='Daily digest')
    wants_reminders = fields.BooleanField(default=False, db_default=False, description='Reminders of overdue steps')
    digest_on = fields.DateField(null=True)
    last_sign_in_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    # What lists of people search, are filed under and sort by.
    SEARCHED_IN = 'search_key'
    FILED_UNDER = 'initial'
    SORTED_BY = {'name': 'name_key'}
    # And what is no field, as SQL: who is invited first, who sees all, who has most sessions.
    ORDERS = {
        'role': 'CASE "portal_user"."role" '
        + ' '.join(f"WHEN '{role.value}' THEN {place}" for place, role in enumerate(PortalRole))
        + ' END',
        'sees': 'CASE WHEN "portal_user"."sees_all" THEN 0 ELSE 1 END',
        'state': 'CASE WHEN NOT "portal_user"."can_sign_in" THEN 3 WHEN "portal_user"."disabled_at" IS NOT NULL THEN 2 '
        'WHEN "portal_user"."registered_at" IS NOT NULL OR "portal_user"."password_hash"<>\'\' '
        'OR "portal_user"."oidc_subject"<>\'\' THEN 1 ELSE 0 END',
        'two_factor': 'CASE WHEN "portal_user"."totp_since" IS NULL THEN 0 ELSE 1 END',
        'last_sign_in': 'COALESCE("portal_user"."last_sign_in_at",\'1970-01-01 00:00:00+00:00\')',
        'sessions': '(SELECT COUNT(*) FROM "session" s WHERE s."user_id"="portal_user"."id" AND s."ended_at" IS NULL '
        'AND s."expires_at">CURRENT_TIMESTAMP)',
    }  # fmt: skip

    class Meta:
        table = 'portal_user'
        table_description = 'Somebody who signs in'

    class WeakPassword(ValueError):
        """The password is too short, too long, or guessed too early; the message is a sentence (models/password.py)."""

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

    @property
    def state(self) -> UserState:
        if not self.can_sign_in:
            return UserState.GENERIC
        if self.disabled_at is not None:
            return UserState.DISABLED
        # A password or an OIDC account: people made before invitations have no moment at which they registered.
        if self.registered_at is not None or self.password_hash or self.oidc_subject:
            return UserState.REGISTERED
        return UserState.INVITED

    @classmethod
    async def register(
        cls, partner: Partner, *, name: str, email: str, password: str, role: PortalRole, sees_all: bool = True
    ) -> 'PortalUser':
        """Create somebody who can sign in at once. Raises WeakPassword, EmailTaken or ValueError (a bad address)."""
        name, email = printable(name)[:120], email.strip().lower()
        local, at, domain = email.partition('@')
        if not (local and at and '.' in domain) or len(email) > 254 or not email.isprintable() or ' ' in email:
            raise ValueError(f'{email[:80]!r} is not an e-mail address.')
        check_password(password, email=email, name=name, msp=partner.name)
        password_hash = await hash_password(password)
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
            await HistoryEvent.add(partner.id, 'user.registered', f'{email} was registered as {role.title}')
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
        """Change the password; every session but `keep_session` ends, and links to choose another one are worth
        nothing any more: who changes it because somebody was in their mail has not closed the door otherwise."""
        from models.one_time_link import OneTimeLink
        from models.session import Session

        partner = await Partner.get(id=self.partner_id)
        check_password(password, email=self.email, name=self.name, msp=partner.name)
        password_hash = await hash_password(password)
        async with transaction():
            self.password_hash = password_hash
            await self.save(update_fields=['password_hash'])
            await HistoryEvent.add(self.partner_id, 'user.password_changed', f'{self.email} changed the password')
            await OneTimeLink.revoke_all_of(self)
            await Session.end_all_of(self, except_id=keep_session, because='password changed')

    # -- what administrators do ----------------------------------------------------------------------------------------

    @classmethod
    async def invite(
        cls, partner: Partner, *, name: str, email: str, role: PortalRole | str, sight: 'Sight', by: 'PortalUser',
        at: str = '', by_mail: bool = True,
    ) -> 'tuple[PortalUser, Issued]':  # fmt: skip
        """Add somebody who chooses a password by a link; `at` is where the portal is, for the mail.

        Raises `Refused`, `Invalid`, and `Impossible` where `by` would give a wider sight than their own.
        """
        from models.one_time_link import LinkKind, OneTimeLink

        facts = checking.each({'name': name, 'email': email, 'role': role}, _of_an_invitation)
        name, email, role = facts['name'], facts['email'], facts['role']
        try:
            async with transaction():
                actor = await cls._acting(by)
                if actor.partner_id != partner.id:
                    raise _refused()
                known = await cls.get_or_none(email=email)
                if known is not None:
                    raise Invalid('email', _taken(known, partner.id))
                given = await sight.given_by(actor)
                user = cls(partner=partner, email=email, role=role, sees_all=given.everything)
                user.set_name(name)
                await user.save()
                await given.give(user)
                issued = await OneTimeLink.issue(user, LinkKind.INVITE, by=actor, at=at, by_mail=by_mail)
                said = f'{email} was invited as {role.title}, {_how(issued, actor)}; sees {_lower(given.in_words())}'
                await HistoryEvent.add(partner.id, 'user.invited', said, by=actor)
                events.USERS_CHANGED.emit(partner.id)
        except IntegrityError:  # somebody else was quicker
            raise Invalid('email', 'is in use already') from None
        return user, issued

    async def change_role(self, role: PortalRole | str, *, by: 'PortalUser') -> bool:
        """Give another role; False where it is the same. Open pages follow. Raises `Impossible` for the last one."""
        role = PortalRole(checking.one_of('role', role, PortalRole))
        async with transaction():
            actor = await self._acting(by)
            fresh = await self._managed(actor)
            if fresh.role == role:
                return False
            await fresh._leaves_an_administrator()
            before, self.role = fresh.role, role
            await PortalUser.filter(id=self.id).update(role=role)
            await HistoryEvent.add(
                self.partner_id, 'user.role_changed', f'{self.email}: {before.title} → {role.title}', by=actor,
                before=before.value, after=role.value,
            )  # fmt: skip
            self._changed(sight=True)
        return True

    async def correct(self, *, name: str, email: str, by: 'PortalUser') -> bool:
        """Put somebody's name or e-mail address right; False where both are the same.

        With another address, links that went to the old one are worth nothing any more. Raises `Invalid`, and
        `Impossible` where `by` would get at more customers by it.
        """
        from models.one_time_link import OneTimeLink
        from models.sight import Sight

        facts = checking.each({'name': name, 'email': email}, _of_an_invitation)
        try:
            async with transaction():
                actor = await self._acting(by)
                fresh = await self._managed(actor)
                before = {'name': fresh.name, 'email': fresh.email}
                if facts == before:
                    return False
                known = await PortalUser.get_or_none(email=facts['email'])
                if known is not None and known.id != fresh.id:
                    raise Invalid('email', _taken(known, actor.partner_id))
                fresh.email = facts['email']
                fresh.set_name(facts['name'])
                await fresh.save(update_fields=['email', 'name', 'name_key', 'initial', 'search_key'])
                if facts['email'] != before['email']:
                    await Sight.require_no_more(fresh, actor, 'change the e-mail address')
                    await OneTimeLink.revoke_all_of(fresh)
                changes = [f'{before[field]} → {facts[field]}' for field in facts if facts[field] != before[field]]
                said = f'{before["email"]} was corrected: {", ".join(changes)}'
                await HistoryEvent.add(self.partner_id, 'user.corrected', said, by=actor, before=before, after=facts)
                self._changed()
        except IntegrityError:  # somebody else was quicker
            raise Invalid('email', 'is in use already') from None
        self.email = facts['email']
        self.set_name(facts['name'])
        return True

    async def change_sight(self, sight: 'Sight', *, by: 'PortalUser') -> bool:
        """Let somebody see other customers; False where they are the same. Open pages follow."""
        from models.sight import Sight

        async with transaction():
            actor = await self._acting(by)
            fresh = await self._managed(actor)
            before = await Sight.of(fresh)
            given = await sight.given_by(actor, before)
            if given == before:
                return False
            await given.give(fresh)
            self.sees_all = fresh.sees_all
            await HistoryEvent.add(
                self.partner_id, 'user.sight_changed',
                f'{self.email} sees {_lower(given.in_words())}; before: {_lower(before.in_words())}', by=actor,
                before=_as_data(before), after=_as_data(given),
            )  # fmt: skip
            self._changed(sight=True)
        return True

    async def disable(self, at: datetime, *, by: 'PortalUser | None' = None) -> None:
        """Take away the right to sign in; sessions, open pages and links end. Raises `Impossible` for the last one."""
        from models.one_time_link import OneTimeLink
        from models.session import Session

        async with transaction():
            actor = await self._acting(by) if by is not None else None
            if actor is not None:
                await (await self._managed(actor))._leaves_an_administrator()
            if not await PortalUser.filter(id=self.id, disabled_at__isnull=True).update(disabled_at=at):
                return
            self.disabled_at = at
            await HistoryEvent.add(self.partner_id, 'user.disabled', f'{self.email} was disabled', by=actor)
            await OneTimeLink.revoke_all_of(self)
            await Session.end_all_of(self, because='disabled')
            self._changed(sight=True)

    async def enable(self, *, by: 'PortalUser') -> None:
        """Give the right to sign in back; whoever had not registered yet needs a new invitation."""
        async with transaction():
            actor = await self._acting(by)
            await self._managed(actor)
            if not await PortalUser.filter(id=self.id, disabled_at__isnull=False).update(disabled_at=None):
                return
            self.disabled_at = None
            await HistoryEvent.add(self.partner_id, 'user.enabled', f'{self.email} was enabled again', by=actor)
            self._changed()

    async def send_link(self, *, by: 'PortalUser', at: str = '', by_mail: bool = True) -> 'Issued':
        """A new invitation, or for somebody who has registered a link to choose another password; raises `Impossible`
        where `by` would see it, and get at more customers by it."""
        from models.one_time_link import LinkKind, OneTimeLink
        from models.sight import Sight

        async with transaction():
            actor = await self._acting(by)
            fresh = await self._managed(actor)
            if fresh.state == UserState.DISABLED:
                raise Impossible(f'{fresh.name} is disabled. Enable them first.')
            invites = fresh.state == UserState.INVITED
            issued = await OneTimeLink.issue(
                fresh, LinkKind.INVITE if invites else LinkKind.RESET, by=actor, at=at, by_mail=by_mail
            )
            if not issued.is_mailed:
                await Sight.require_no_more(fresh, actor, 'make a link that is not mailed to them')
            what = 'was invited again' if invites else 'may choose another password'
            kind = 'user.invitation_sent' if invites else 'user.reset_sent'
            await HistoryEvent.add(self.partner_id, kind, f'{self.email} {what}, {_how(issued, actor)}', by=actor)
            self._changed()
        return issued

    async def revoke_links(self, *, by: 'PortalUser') -> None:
        """Make the invitation, or the link to choose another password, worth nothing."""
        from models.one_time_link import OneTimeLink

        async with transaction():
            actor = await self._acting(by)
            await self._managed(actor)
            if await OneTimeLink.revoke_all_of(self):
                await HistoryEvent.add(
                    self.partner_id, 'user.link_revoked', f'The link for {self.email} was revoked', by=actor
                )
                self._changed()

    async def end_sessions(self, *, by: 'PortalUser', session_id: int | None = None) -> int:
        """End one session of this person, or all of them; their open pages go to sign-in. How many went on until now:
        none where somebody was quicker. Raises DoesNotExist where it is none of theirs."""
        from models.session import Session

        async with transaction():
            actor = await self._acting(by)
            await self._managed(actor)
            if session_id is not None:
                await Session.get(id=session_id, user_id=self.id)
            if count := await Session.end_all_of(self, because='ended by an administrator', only_id=session_id):
                which = 'All sessions' if session_id is None else 'A session'
                were = 'were' if session_id is None else 'was'
                await HistoryEvent.add(
                    self.partner_id, 'user.sessions_ended', f'{which} of {self.email} {were} ended', by=actor
                )
                self._changed()
        return count

    async def unlink_provider(self, *, by: 'PortalUser') -> None:
        """Forget who this person is at the OIDC provider: for somebody who has another account there now, and is found
        by their e-mail address once more. All their sessions end.

        Raises `Impossible` where there is nothing to forget, or where nobody could administer the MSP meanwhile.
        """
        from models.session import Session

        async with transaction():
            actor = await self._acting(by)
            fresh = await self._managed(actor)
            if not fresh.oidc_subject:
                raise Impossible(f'{fresh.name} has not signed in with single sign-on.')
            if not fresh.password_hash:
                await fresh._leaves_an_administrator()
            await PortalUser.filter(id=self.id).update(oidc_issuer='', oidc_subject='')
            self.oidc_issuer = self.oidc_subject = ''
            await HistoryEvent.add(
                self.partner_id, 'user.oidc_unlinked', f'{self.email} was unlinked from single sign-on', by=actor
            )
            await Session.end_all_of(self, because='single sign-on unlinked')
            self._changed()

    def _changed(self, *, sight: bool = False) -> None:
        events.USERS_CHANGED.emit(self.partner_id)
        if sight:
            events.SIGHT_CHANGED.emit(self.id)

    @classmethod
    async def _acting(cls, by: 'PortalUser') -> 'PortalUser':
        """Who acts, as they are now, and nobody else changes people of this MSP until the transaction ends.

        Two administrators who demote each other at the same moment come one after the other here, and the second is
        none any more.
        """
        from models import rights

        await Partner.filter(id=by.partner_id).select_for_update(no_key=True).get()
        actor = await cls.get(id=by.id)
        if not actor.is_active:
            raise _refused()
        rights.require(actor, 'user.manage')
        return actor

    async def _managed(self, by: 'PortalUser') -> 'PortalUser':
        """This person as they are now, for an administrator of the same MSP."""
        fresh = await PortalUser.get_or_none(id=self.id, partner_id=by.partner_id)
        if fresh is None:
            raise _refused()
        if not fresh.can_sign_in:
            raise Impossible(
                'This is the generic administration account: nobody signs in with it, and it stays as it is.'
            )
        return fresh

    async def _leaves_an_administrator(self) -> None:
        """Raise `Impossible` where nobody could administer the MSP without this person."""
        if self.role != PortalRole.ADMINISTRATOR:
            return
        others = PortalUser.filter(
            partner_id=self.partner_id, role=PortalRole.ADMINISTRATOR, can_sign_in=True, disabled_at__isnull=True
        ).exclude(id=self.id)
        able = Q(password_hash__not='') | Q(oidc_subject__not='')  # nosec B106 # whoever has one
        if not await others.filter(able).exists():
            raise Impossible(
                f'{self.name} is the last administrator who can sign in. Make somebody else an administrator first.'
            )

    async def prefer(self, key: str, value: Any) -> None:
        """Remember how this person likes something to be; not worth a line of history."""
        async with transaction():
            fresh = await PortalUser.get(id=self.id)
            fresh.preferences = {**(fresh.preferences or {}), key: value}
            await fresh.save(update_fields=['preferences'])
        self.preferences = fresh.preferences

    async def choose_theme(self, theme: str) -> None:
        if theme not in ('light', 'dark', 'system'):
            raise Invalid('theme', 'must be light, dark or system')
        self.theme = theme
        await PortalUser.filter(id=self.id).update(theme=theme)


def _refused() -> PermissionError:
    from models.rights import Refused

    return Refused('Your role in the portal does not include this any more, or this person is not here.')


def _how(issued: 'Issued', by: PortalUser) -> str:
    """How a link went out. Whoever is shown one could use it themselves, so the audit says so."""
    return 'by e-mail' if issued.is_mailed else f'by a link that {by.name} was shown'


def _of_an_invitation(field: str, value: Any) -> Any:
    """Name, e-mail address or role as it is stored; raises `Invalid`."""
    if field == 'role':
        return checking.one_of(field, value, PortalRole)
    clean = checking.line(field, value, 120) if field == 'name' else checking.email(field, value).lower()
    if not clean:
        raise Invalid(field, 'is empty')
    return clean


def _taken(known: PortalUser, partner_id: int) -> str:
    # Of other MSPs' people nothing is told but that the address is taken, which cannot be hidden.
    return f'is {known.name}’s, who is here already' if known.partner_id == partner_id else 'is in use already'


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def _as_data(sight: 'Sight') -> dict[str, Any]:
    return {'everything': sight.everything, 'customers': sorted(sight.customers), 'tags': sorted(sight.tags)}


def check_password(password: str, *, email: str, name: str, msp: str) -> None:
    """Raise `WeakPassword` where nobody may have this password, or not this person of this MSP."""
    if why := why_refused(password, email=email, name=name, msp=msp):
        raise PortalUser.WeakPassword(why)
