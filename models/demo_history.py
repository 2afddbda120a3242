"""What happened so far to customers that were made for a demonstration: milestones, and what people did."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from models.connect_step import StepState
from models.customer import Listing
from models.demo_rows import Sketch, step_states
from models.history import Entry
from models.rfi import RfiState

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_PAST = {StepState.COMPLETE: 'completed', StepState.SKIPPED: 'skipped', StepState.BLOCKED: 'blocked'}
# What people do at a customer: kind, in words. Nothing that another table would have to show as well.
_CHORES = (
    ('console.sign_on', 'Signed on to the Administration Console'),
    ('console.sign_on', 'Signed on to the Administration Console'),
    ('console.sign_on', 'Signed on to the Administration Console'),
    ('delegated_access.requested', 'Delegated access was requested'),
    ('delegated_access.granted', 'Delegated access was granted'),
    ('customer.called', 'Called the main contact; nothing is open'),
    ('customer.reviewed', 'Went through the service report with the customer'),
    ('monitor.threshold_changed', 'Thresholds of the queues were reviewed'),
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


def history_of(
    partner_id: int, customer_id: int, sketch: Sketch, services: str, people: Sequence[Person] = ()
) -> list[Entry]:
    """The milestones that led to where the customer is; with people, also what they did, ten entries and more."""
    happened = list(_milestones(sketch))
    # Those who were made by the thousand and are live have no steps left to tell of.
    if sketch.listing != Listing.WAITING and (people or sketch.has_steps):
        happened += _steps(sketch, services)
    chance = _UNUSED
    if people:
        chance = random.Random(sketch.name)
        happened += _chores(chance, sketch, len(happened))
    # Of the same moment, in the order in which they were told.
    happened.sort(key=lambda each: each.at)
    entries = []
    for at, kind, summary, by_somebody in happened:
        by = chance.choice(people) if people and by_somebody else None
        entries.append(Entry(partner_id, customer_id, kind, at, summary, by.id if by else None, by.name if by else ''))
    return entries


def _milestones(sketch: Sketch) -> Iterator[_Happened]:
    begin, until = sketch.created_at, sketch.completed_at or sketch.since
    yield _Happened(begin, 'customer.created', f'{sketch.name} was added', True)
    if sketch.rfi not in (RfiState.NOT_REQUESTED, RfiState.NOT_APPLICABLE):
        yield _Happened(begin, 'rfi.requested', 'RFI form sent for completion', True)
    back = begin + (until - begin) / 3
    if sketch.rfi == RfiState.DRAFT and sketch.listing == Listing.WAITING:
        yield _Happened(min(begin + 5 * _HOUR, datetime.now(UTC)), 'rfi.draft', 'RFI draft saved')
    elif sketch.listing != Listing.WAITING and sketch.rfi != RfiState.NOT_APPLICABLE:
        yield _Happened(back, 'rfi.submitted', 'RFI form sent back')
    if sketch.rfi == RfiState.COMPLETE:
        yield _Happened(back, 'rfi.complete', 'RFI complete', True)
    elif sketch.rfi == RfiState.ERROR:
        yield _Happened(back, 'rfi.error', 'RFI found in error', True)
    if sketch.completed_at:
        yield _Happened(until, 'connect.completed', 'Connect complete: the customer is live', True)


def _steps(sketch: Sketch, services: str) -> Iterator[_Happened]:
    steps, until = step_states(sketch, services), sketch.completed_at or sketch.since
    begin = sketch.created_at + (until - sketch.created_at) / 3
    stride = (until - begin) / (len(steps) + 1)
    for position, (template, state) in enumerate(steps, 1):
        if state not in _PAST:
            continue
        at = until if state == StepState.BLOCKED else begin + stride * position
        because = f' – {sketch.because}' if state == StepState.BLOCKED else ''
        yield _Happened(at, f'connect.step_{state.value}', f'{template.title}: {_PAST[state]}{because}', True)


def _chores(chance: random.Random, sketch: Sketch, already: int) -> Iterator[_Happened]:
    """What people did in between, more of it where a customer has been there for long."""
    begin, now = sketch.created_at + _HOUR / 6, datetime.now(UTC) - _HOUR / 6
    if begin >= now:
        return
    wanted = int((now - begin) / (30 * _DAY)) + chance.randrange(4)
    for n in range(min(max(_FEWEST - already, wanted), _MOST - already)):
        if n == 0 and sketch.listing == Listing.WAITING and sketch.rfi == RfiState.REQUESTED:
            yield _Happened(begin + (now - begin) / 2, 'rfi.reminded', 'Reminded of the RFI form', True)
        else:
            yield _Happened(begin + (now - begin) * chance.random(), *chance.choice(_CHORES), True)
