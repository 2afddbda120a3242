"""E-mail about one's own steps of Connect: a digest every morning, and a reminder when a step becomes overdue.

Both are written at most once, whatever stops or is set meanwhile. Of a digest its person remembers the day; a reminder
has a key of its step, its person and its week, and there is one message with a key at most.
"""

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from models import calendar
from models.connect_step import ConnectStep, StepState
from models.database import is_away
from models.events import transaction
from models.looking_after import steps_of
from models.mailing import post
from models.message import Message
from models.user import PortalUser

log = logging.getLogger(__name__)

_WEEKDAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')
MORNING = 7  # the hour of a digest where its person is
MOST_LINES = 25  # steps in a digest, of either sort
MOST_REMINDERS = 20  # of one person in one go
WEEK = timedelta(days=7)
LATE = timedelta(days=2)  # a reminder that could not be written for so long is left out; the next week has another
# A day further ahead than this was remembered by a clock that was wrong.
AHEAD = timedelta(days=2)


def zone_of(person: PortalUser) -> ZoneInfo:
    """Where somebody is: as they have said, else as their MSP has."""
    if person.time_zone:
        try:
            return ZoneInfo(person.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            pass
    return calendar.zone_of(person.partner)


def digest_day(person: PortalUser, now: datetime) -> date:
    """Of which day's morning the last digest is, had one been written every morning."""
    there = now.astimezone(zone_of(person))
    return there.date() if there.hour >= MORNING else there.date() - timedelta(days=1)


def is_due(person: PortalUser, now: datetime) -> bool:
    """Whether the digest of today is to be written; before the morning none is, not even one that was missed."""
    day = digest_day(person, now)
    if day != now.astimezone(zone_of(person)).date():
        return False
    return person.digest_on is None or person.digest_on < day or person.digest_on > day + AHEAD


def active() -> Any:
    """Whoever can sign in, and whose MSP has a mail server."""
    people = PortalUser.filter(can_sign_in=True, disabled_at__isnull=True).exclude(partner__smtp_host='')
    return people.select_related('partner').order_by('id')


async def write_digests(now: datetime, *, at: str) -> int:
    """Write the digests of this morning that are not there yet; return how many. `at` is where the portal is."""
    written = 0
    for person in await active().filter(wants_digest=True):
        with _one_of_many(person, 'digest'):
            if is_due(person, now):
                written += await _digest(person, now, at)
    return written


@contextlib.contextmanager
def _one_of_many(person: PortalUser, what: str) -> Iterator[None]:
    """What cannot be written for one keeps nobody else from theirs."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise
        log.exception('the %s of user %d cannot be written', what, person.id)


async def _digest(person: PortalUser, now: datetime, at: str) -> bool:
    day = digest_day(person, now)
    found = await steps_of(person).filter(Q(due_at__lt=now) | Q(state=StepState.BLOCKED)).order_by(
        'due_at', 'id'
    ).select_related('customer')  # fmt: skip
    overdue = [step for step in found if step.due_at is not None and step.due_at < now]
    blocked = [step for step in found if step not in overdue]
    facts = {
        'name': person.name, 'day': f'{_WEEKDAYS[day.weekday()]} {calendar.said(day)}',
        'board': f'{at}/connect?who=mine', 'account': f'{at}/account',
        'more': max(0, len(overdue) - MOST_LINES) + max(0, len(blocked) - MOST_LINES),
        'overdue': [_told(step, person, now, at) for step in overdue[:MOST_LINES]],
        'blocked': [_told(step, person, now, at) for step in blocked[:MOST_LINES]],
    }  # fmt: skip
    async with transaction():
        known = PortalUser.filter(id=person.id, wants_digest=True, disabled_at__isnull=True)
        same = known.filter(digest_on=person.digest_on) if person.digest_on else known.filter(digest_on__isnull=True)
        if not await same.update(digest_on=day) or not found:  # somebody was quicker, or there is nothing to tell
            return False
        tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone_of(person)).astimezone(UTC)
        message = await post(
            person.partner, kind='digest', recipient=person.email, template='digest', facts=facts,
            good_until=tomorrow,
        )  # fmt: skip
    return message is not None


async def write_reminders(now: datetime, *, at: str) -> int:
    """Write the reminders of steps that have become overdue, or have been for whole weeks; return how many."""
    written = 0
    for person in await active().filter(wants_reminders=True):
        with _one_of_many(person, 'reminders'):
            overdue = steps_of(person).filter(due_at__lt=now).order_by('due_at', 'id').select_related('customer')
            wanted = {key(step, person, now): step for step in await overdue if _has_just_begun(step, now)}
            keys = list(wanted)
            known = set(await Message.filter(key__in=keys).values_list('key', flat=True)) if keys else set()
            for name in [name for name in keys if name not in known][:MOST_REMINDERS]:
                written += await _remind(wanted[name], person, name, now, at)
    return written


def key(step: ConnectStep, person: PortalUser, now: datetime) -> str:
    """What names the reminder of this step in this week; of another date it is another."""
    assert step.due_at is not None
    return f'step-{step.id}-{person.id}-{int(step.due_at.timestamp())}-{(now - step.due_at) // WEEK}'


def _has_just_begun(step: ConnectStep, now: datetime) -> bool:
    return step.due_at is not None and (now - step.due_at) % WEEK < LATE


async def _remind(step: ConnectStep, person: PortalUser, name: str, now: datetime, at: str) -> bool:
    facts = {'name': person.name, 'steps': [_told(step, person, now, at)], 'account': f'{at}/account'}
    try:
        message = await post(
            person.partner, kind='step_reminder', recipient=person.email, template='step_reminder', facts=facts,
            good_until=now + LATE, customer_id=step.customer_id, key=name,
        )  # fmt: skip
    except IntegrityError:  # somebody was quicker
        return False
    return message is not None


def _late(due: datetime | None, person: PortalUser, now: datetime) -> str:
    """By how many days, as their calendar counts them; empty where it is not."""
    if due is None or due >= now:
        return ''
    zone = zone_of(person)
    days = (now.astimezone(zone).date() - due.astimezone(zone).date()).days
    return f'{days} {"day" if days == 1 else "days"} late' if days else 'late since today'


def _told(step: ConnectStep, person: PortalUser, now: datetime, at: str) -> dict[str, Any]:
    """A step as the templates want it."""
    return {
        'customer': step.customer.name, 'step': step.title, 'due': calendar.said(step.due_at, zone_of(person), none=''),
        'late': _late(step.due_at, person, now),
        'blocked': step.reason if step.state == StepState.BLOCKED else '',
        'link': f'{at}/customers/{step.customer_id}',
    }  # fmt: skip
