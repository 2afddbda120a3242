"""What people change about themselves: name, password, time zone, and the sessions they are signed in with."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

from models import checking, events, rights, second_factor
from models.checking import Impossible, Invalid
from models.events import transaction
from models.history import HistoryEvent
from models.session import Session
from models.step_mail import digest_day
from models.user import PortalUser

FRESH = timedelta(minutes=15)  # since signing in, for who has no password to prove that it is them


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all time zones that people live in, Europe/Berlin and the like."""
    cities = (name for name in available_timezones() if '/' in name and not name.startswith('Etc/'))
    return (*sorted(cities), 'UTC')


async def rename(user: PortalUser, name: str) -> None:
    """Be called something else. Raises `Invalid`."""
    rights.require(user, 'account.change')
    name = checking.line('name', name, 120)
    if not name:
        raise Invalid('name', 'is empty')
    async with transaction():
        fresh = await PortalUser.get(id=user.id)
        if fresh.name == name:
            return
        before = fresh.name
        fresh.set_name(name)
        await fresh.save(update_fields=['name', 'name_key', 'initial', 'search_key'])
        await HistoryEvent.add(user.partner_id, 'user.renamed', f'{user.email}: {before} → {name}', by=user)
        events.USERS_CHANGED.emit(user.partner_id)
    user.set_name(name)


async def choose_time_zone(user: PortalUser, name: str) -> None:
    """See times in this zone; none is that of the browser. Raises `Invalid`."""
    rights.require(user, 'account.change')
    name = checking.line('time_zone', name, 64)
    if name and name not in time_zones():
        raise Invalid('time_zone', f'{checking.quoted(name)} is not a time zone, such as Europe/London')
    await PortalUser.filter(id=user.id).update(time_zone=name)
    user.time_zone = name


async def choose_mail(user: PortalUser, *, digest: bool, reminders: bool, now: datetime | None = None) -> None:
    """Have e-mail about one's steps of Connect: a digest every morning, a reminder of what is overdue, both or neither.

    Whoever switches the digest on has the first one the next morning.
    """
    rights.require(user, 'account.change')
    async with transaction():
        fresh = await PortalUser.filter(id=user.id).select_for_update(no_key=True).get()
        if digest and not fresh.wants_digest:
            await fresh.fetch_related('partner')
            fresh.digest_on = digest_day(fresh, now or datetime.now(UTC))
        fresh.wants_digest, fresh.wants_reminders = digest, reminders
        await fresh.save(update_fields=['wants_digest', 'wants_reminders', 'digest_on'])
    user.wants_digest, user.wants_reminders, user.digest_on = digest, reminders, fresh.digest_on


async def change_password(user: PortalUser, old: str, new: str, *, keep_session: int | None = None) -> None:
    """Choose another password, for the old one; every session but `keep_session` ends.

    Raises `Invalid`, and `Impossible` for somebody who has none and signs in through an OIDC provider.
    """
    rights.require(user, 'account.change')
    fresh = await PortalUser.get(id=user.id)
    if not fresh.password_hash:
        raise Impossible('You have no password. Ask an administrator for a link to choose one.')
    if await PortalUser.signing_in(fresh.email, old) is None:
        raise Invalid('old', 'is not right')
    if old == new:
        raise Invalid('new', 'is the one that you have already')
    try:
        await fresh.set_password(new, keep_session=keep_session)
    except PortalUser.WeakPassword as error:
        raise Invalid('new', str(error)) from None


async def begin_two_factor(user: PortalUser, session: Session, password: str) -> str:
    """A key to set up two-factor with, for the password: whoever finds the page open must not bind a phone of theirs
    to somebody else’s account, and lock them out by it (NIST SP 800-63B, 6.1.2: who binds another authenticator has
    proven who they are, and not long ago).

    Who has no password and signs in through an OIDC provider proves it by having signed in within `FRESH`: the portal
    cannot ask the provider in between. Raises `Invalid` and `Impossible`.
    """
    rights.require(user, 'account.change')
    fresh = await PortalUser.get(id=user.id)
    if fresh.password_hash:
        if await PortalUser.signing_in(fresh.email, password) is None:
            raise Invalid('password', 'is not right')
    elif session.user_id != user.id or session.created_at < datetime.now(UTC) - FRESH:
        raise Impossible(
            'Sign out and sign in again first: somebody without a password sets up two-factor within '
            f'{FRESH // timedelta(minutes=1)} minutes of signing in.'
        )
    return await second_factor.begin(user)


async def end_session(user: PortalUser, session_id: int) -> bool:
    """End one of the own sessions, in another browser, say; False where it had ended before. Raises DoesNotExist where
    it is none of them."""
    rights.require(user, 'account.change')
    async with transaction():
        session = await Session.filter(id=session_id, user_id=user.id).select_for_update(no_key=True).get()
        ended = await Session.end_all_of(user, because='ended by its owner', only_id=session.id)
        if ended:
            await _tell_ended(user, 'a session')
    return bool(ended)


async def end_other_sessions(user: PortalUser, keep: int) -> int:
    """End all of the own sessions but this one; how many there were."""
    rights.require(user, 'account.change')
    async with transaction():
        ended = await Session.end_all_of(user, because='ended by its owner', except_id=keep)
        if ended:
            await _tell_ended(user, 'all other sessions')
    return ended


async def _tell_ended(user: PortalUser, what: str) -> None:
    await HistoryEvent.add(user.partner_id, 'user.sessions_ended', f'{user.email} ended {what}', by=user)
    events.USERS_CHANGED.emit(user.partner_id)
