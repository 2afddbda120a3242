"""What happened so far to customers that were made for a demonstration: milestones, and what people did."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from models import calendar
from models.connect_step import StepState
from models.customer import Listing
from models.demo_rows import Moments, Sketch, reason_of
from models.history import Entry
from models.monitor import Monitor
from models.rfi import RfiState

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_PAST = {StepState.COMPLETE: 'completed', StepState.SKIPPED: 'skipped', StepState.BLOCKED: 'blocked'}
# What people do at a customer: kind, in words. Nothing that another table would have to show as well.
_Chores = tuple[tuple[str, str], ...]
_ON_THE_WAY = (
    ('delegated_access.requested', 'Delegated access was requested'),
    ('delegated_access.granted', 'Delegated access was granted'),
    ('customer.called', 'Called the main contact about what comes next'),
    ('customer.called', 'Called the main contact; nobody answered'),
    ('customer.reviewed', 'Went through the offer with the customer'),
)
_IN_CONSOLE = (('console.sign_on', 'Signed on to the Administration Console'),) * 3
_WITH_QUEUES = (('monitor.threshold_changed', 'Thresholds of the queues were reviewed'),)
_WHEN_LIVE = (
    ('delegated_access.requested', 'Delegated access was requested'),
    ('delegated_access.granted', 'Delegated access was granted'),
    ('customer.called', 'Called the main contact; nothing is open'),
    ('customer.reviewed', 'Went through the service report with the customer'),
)
_FEWEST, _MOST = 10, 40
_UNUSED = random.Random(0)  # making one takes longer than all the rest


class Person(NamedTuple):
    """Who does something in a demonstration."""

    id: int
    name: str


class _Happened(NamedTuple):
    at: datetime
    kind: str
    summary: str
    by_somebody: bool = False
    step: str = ''


def history_of(
    partner_id: int, customer_id: int, sketch: Sketch, moments: Moments, people: Sequence[Person] = ()
) -> list[Entry]:
    """The milestones that led to where the customer is; with people, also what they did, ten entries and more."""
    # Those who were made by the thousand and are live have no steps left to tell of.
    happened = [*_milestones(sketch, moments), *_steps(sketch, moments)]
    if sketch.completed_at:
        happened.append(
            _Happened(sketch.completed_at, 'connect.completed', 'Connect complete: the customer is live', True)
        )
    if sketch.hold:
        until = f' until {calendar.said(sketch.hold.until)}' if sketch.hold.until else ''
        happened.append(
            _Happened(sketch.hold.since, 'connect.held', f'Connect put on hold{until} – {sketch.hold.because}', True)
        )
    chance = _UNUSED
    if people:
        chance = random.Random(sketch.name)
        happened += _chores(chance, sketch, moments, len(happened))
    # Of the same moment, in the order in which they were told.
    happened.sort(key=lambda each: each.at)
    entries = []
    for at, kind, summary, by_somebody, step in happened:
        by = chance.choice(people) if people and by_somebody else None
        entries.append(Entry(
            partner_id, customer_id, kind, at, summary, by.id if by else None, by.name if by else '',
            {'step': step} if step else None,
        ))  # fmt: skip
    return entries


def _milestones(sketch: Sketch, moments: Moments) -> Iterator[_Happened]:
    begin, back = sketch.created_at, moments.returned
    yield _Happened(begin, 'customer.created', f'{sketch.name} was added', True)
    if moments.requested:
        yield _Happened(moments.requested, 'rfi.requested', 'RFI form sent for completion', True)
    if back:
        yield _Happened(back, 'rfi.submitted', 'RFI form sent back')
    elif sketch.rfi == RfiState.DRAFT:
        yield _Happened(min(begin + 5 * _HOUR, datetime.now(UTC)), 'rfi.draft', 'RFI draft saved')
    if moments.completed:
        yield _Happened(moments.completed, 'rfi.complete', 'RFI complete', True)
    elif back and sketch.rfi == RfiState.ERROR:
        yield _Happened(back, 'rfi.error', 'RFI found in error', True)


def _steps(sketch: Sketch, moments: Moments) -> Iterator[_Happened]:
    for template, state, started, ended in moments.steps:
        at = ended or started
        if at is None or state not in _PAST:
            continue
        because = reason_of(sketch, state)
        summary = f'{template.title}: {_PAST[state]}' + (f' – {because}' if because else '')
        # That step is done by accepting the form, and the history says who did that.
        by_somebody = template.key != 'rfi' or state != StepState.COMPLETE
        yield _Happened(at, f'connect.step_{state.value}', summary, by_somebody, template.key)


def _chores(chance: random.Random, sketch: Sketch, moments: Moments, already: int) -> Iterator[_Happened]:
    """What people did in between, more of it where a customer has been there for long; nothing once it leaves."""
    begin, now = sketch.created_at + _HOUR / 6, datetime.now(UTC) - _HOUR / 6
    now = min(now, sketch.closed.asked) if sketch.closed else now
    if begin >= now:
        return
    possible = list(_possible(sketch, moments))
    wanted = int((now - begin) / (30 * _DAY)) + chance.randrange(4)
    for n in range(min(max(_FEWEST - already, wanted), _MOST - already)):
        if n == 0 and sketch.listing == Listing.WAITING and sketch.rfi == RfiState.REQUESTED:
            yield _Happened(begin + (now - begin) / 2, 'rfi.reminded', 'Reminded of the RFI form', True)
        else:
            at = begin + (now - begin) * chance.random()
            fitting = [chore for since, until, chores in possible if since <= at < until for chore in chores]
            yield _Happened(at, *chance.choice(fitting), True)


def _possible(sketch: Sketch, moments: Moments) -> Iterator[tuple[datetime, datetime, _Chores]]:
    """From when until when people did what: nobody reviews a queue that is not watched."""
    never = datetime.max.replace(tzinfo=UTC)
    yield sketch.created_at, sketch.completed_at or never, _ON_THE_WAY
    if sketch.completed_at:
        yield sketch.completed_at, never, _WHEN_LIVE
    configured = [step.ended for step in moments.steps if step.template.key == 'account_configuration' and step.ended]
    if configured and sketch.signals:
        yield configured[0], never, _IN_CONSOLE
    queues = [
        signal.begins or sketch.since
        for kind, signal in sketch.signals.items()
        if Monitor.default_threshold(kind, sketch.seats) is not None
    ]
    if queues:
        yield min(queues), never, _WITH_QUEUES
