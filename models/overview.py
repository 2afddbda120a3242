"""The numbers of the dashboard and of the wall, over the customers that somebody may see."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tortoise.expressions import Q, RawSQL, Subquery
from tortoise.functions import Count, Min, Sum
from tortoise.queryset import QuerySet

from models.connect_board import going_on
from models.customer import Customer, Listing
from models.database import reader, rows
from models.monitor import Flip, Health, Monitor, MonitorKind, MonitorState
from models.prospect import PENDING, Prospect

WORST = 40
STUCK = 12
STUCK_AFTER = timedelta(days=5)
TREND_DAYS = 30
TREND_HOURS = 24


@dataclass(frozen=True)
class Overview:
    """Counts over all customers and per signal, what is bad now (worst first) and what is stuck in Connect."""

    total: int
    waiting: int
    in_progress: int
    complete: int
    seats: int
    monitored: int
    bad: int
    signals: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    worst_more: int
    stuck: list[dict[str, Any]]
    stuck_more: int
    prospects: int = 0  # pending ones
    # Of those in Connect: whose step is overdue, blocked, or who rest; one may be both of the first.
    overdue: int = 0
    blocked: int = 0
    held: int = 0

    @property
    def in_connect(self) -> int:
        return self.waiting + self.in_progress

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {'in_connect': self.in_connect}

    @classmethod
    async def of(cls, customers: QuerySet[Customer], prospects: QuerySet[Prospect] | None = None) -> 'Overview':
        listed = {row['listing']: row for row in await rows(_by_listing(customers)) if row['listing'] != Listing.CLOSED}
        signals = [await _signal(customers, kind) for kind in MonitorKind]
        worst = await _worst(customers)
        stuck, all_stuck = await _stuck(customers)
        count = {listing: listed[listing]['n'] if listing in listed else 0 for listing in Listing}
        return cls(
            total=sum(count.values()), waiting=count[Listing.WAITING], in_progress=count[Listing.IN_PROGRESS],
            complete=count[Listing.COMPLETE], seats=sum(row['total_seats'] or 0 for row in listed.values()),
            monitored=await customers.filter(worst__lt=Health.NOT_CONFIGURED).using_db(reader()).count(),
            bad=await _bad(customers).using_db(reader()).count(), signals=signals,
            worst=worst, worst_more=max(0, sum(s['bad'] for s in signals) - len(worst)),
            stuck=stuck, stuck_more=max(0, all_stuck - len(stuck)),
            prospects=await prospects.using_db(reader()).count() if prospects is not None else 0,
            **await _standing(customers),
        )  # fmt: skip


def _by_listing(customers: QuerySet[Customer]) -> Any:
    return (
        customers.annotate(n=Count('id'), total_seats=Sum('seats'))
        .group_by('listing')
        .values('listing', 'n', 'total_seats')
    )


async def _standing(customers: QuerySet[Customer]) -> dict[str, int]:
    """How many of those in Connect are overdue, blocked and on hold: in one walk over them."""
    now = f"'{datetime.now(UTC).isoformat(' ')}'"
    counted = customers.filter(going_on()).annotate(
        overdue=RawSQL(f'SUM(CASE WHEN "customer"."connect_due"<{now} THEN 1 ELSE 0 END)'),
        blocked=RawSQL('SUM(CASE WHEN "customer"."blocked_because"<>\'\' THEN 1 ELSE 0 END)'),
        held=RawSQL('SUM(CASE WHEN "customer"."held_at" IS NOT NULL THEN 1 ELSE 0 END)'),
    )
    found = await rows(counted.group_by('listing').values('listing', 'overdue', 'blocked', 'held'))
    return {name: sum(row[name] for row in found) for name in ('overdue', 'blocked', 'held')}


async def _signal(customers: QuerySet[Customer], kind: MonitorKind) -> dict[str, Any]:
    """How many icons of one kind are in which state. Grouped as the index is, which answers it alone."""
    grouped = customers.annotate(n=Count('id')).group_by('listing', kind.value).values('listing', kind.value, 'n')
    count = dict.fromkeys(Health, 0)
    for row in await rows(grouped):
        if row['listing'] != Listing.CLOSED:
            count[Health(row[kind.value])] += row['n']
    return {
        'kind': kind.value, 'title': kind.title, 'good': count[Health.GOOD],
        'bad': count[Health.BAD] + count[Health.BAD_OLD], 'unknown': count[Health.UNKNOWN],
        'old': count[Health.GOOD_OLD], 'none': count[Health.NOT_CONFIGURED],
    }  # fmt: skip


def _bad(customers: QuerySet[Customer]) -> QuerySet[Customer]:
    return customers.filter(worst__lte=Health.BAD_OLD)


def _bad_signals(customers: QuerySet[Customer]) -> QuerySet[Monitor]:
    """Through the customers with a problem: an index knows them, and they are few."""
    return Monitor.filter(state=MonitorState.BAD, customer_id__in=Subquery(_bad(customers).values('id')))


_OVER = (
    'MIN(CASE WHEN "monitor"."value">="monitor"."threshold"*10 THEN 0 '
    'WHEN "monitor"."value">="monitor"."threshold"*2 THEN 1 ELSE 2 END)'
)


async def _worst(customers: QuerySet[Customer]) -> list[dict[str, Any]]:
    """The worst bad signals, those of one customer together.

    Customers of whom something was read lately come first, then those with most bad signals, then those whose queue is
    ten times or twice over its threshold (not by the value itself: with every reading the lines would change places),
    then those that have had one the longest. They are put in order before any is left out.
    """
    ranked = await rows(
        _bad_signals(customers)
        .annotate(
            all_old=RawSQL('MIN(CASE WHEN "monitor"."is_old" THEN 1 ELSE 0 END)'),
            n=Count('id'),
            first=Min('since'),
            over=RawSQL(_OVER),
        )
        .group_by('customer_id')
        .order_by('all_old', '-n', 'over', 'first', 'customer_id')
        .limit(WORST)
        .values('customer_id')
    )
    place = {row['customer_id']: place for place, row in enumerate(ranked)}
    broken = await rows(
        Monitor.filter(state=MonitorState.BAD, customer_id__in=list(place))
        .order_by('is_old', 'since', 'id')
        .values(
            'customer_id', 'kind', 'value', 'threshold', 'since', 'read_at', 'reason', 'is_old',
            name='customer__name', listing='customer__listing',
        )
    )  # fmt: skip
    for row in broken:
        row['title'], row['is_old'] = MonitorKind(row['kind']).title, bool(row['is_old'])
    return sorted(broken, key=lambda row: place[row['customer_id']])[:WORST]


async def _stuck(customers: QuerySet[Customer]) -> tuple[list[dict[str, Any]], int]:
    """Who is blocked, then who has been in the same step for days, the longest first; and how many they are in all."""
    listed = customers.filter(going_on())
    blocked = listed.exclude(blocked_because='')
    slow = listed.filter(blocked_because='', connect_since__lt=datetime.now(UTC) - STUCK_AFTER)
    found: list[dict[str, Any]] = []
    for some in (blocked, slow):
        found += await rows(
            some.order_by('connect_since', 'id').limit(STUCK).values(
                customer_id='id', name='name', step='connect_status', key='connect_key', since='connect_since',
                because='blocked_because',
            )
        )  # fmt: skip
    return found[:STUCK], await blocked.using_db(reader()).count() + await slow.using_db(reader()).count()


# -- trends -----------------------------------------------------------------------------------------------------------


async def trends(customers: QuerySet[Customer], prospects: QuerySet[Prospect] | None = None) -> dict[str, list[int]]:
    """How the dashboard's numbers came about: 30 days of customers, Connect and seats, 24 hours of problems.

    Worked out from the customers and the flips that can be seen, so that nobody learns of others from a curve. Seats
    are counted as they are now, from the day their customer came until the day it left.
    """
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(TREND_DAYS - 1, -1, -1)]
    left_since = Q(listing=Listing.CLOSED, closed_at__isnull=False)
    came = await _by_day(customers, 'created_at')
    left = await _by_day(customers.filter(left_since), 'closed_at')
    went_live = await _by_day(customers.filter(completed_at__isnull=False), 'completed_at')
    live_left = await _by_day(customers.filter(left_since, completed_at__isnull=False), 'closed_at')

    def until(found: list[dict], name: str) -> list[int]:
        return [sum(row[name] or 0 for row in found if str(row['day']) <= str(day)) for day in days]

    def still(found: list[dict], gone: list[dict], name: str = 'n') -> list[int]:
        return [a - b for a, b in zip(until(found, name), until(gone, name), strict=True)]

    total, live = still(came, left), still(went_live, live_left)
    made, ended = [], []
    if prospects is not None:  # since they were lost or converted, nobody has changed them
        day = 'SUBSTR(CAST("prospect"."{}" AS TEXT),1,10)'
        counted = prospects.annotate(day=RawSQL(day.format('created_at')), n=Count('id'))
        made = await rows(counted.group_by('day').values('day', 'n'))
        gone = prospects.exclude(state__in=list(PENDING)).annotate(day=RawSQL(day.format('changed_at')), n=Count('id'))
        ended = await rows(gone.group_by('day').values('day', 'n'))
    return {
        'prospects': still(made, ended),
        'total': total,
        'in_connect': [max(0, a - b) for a, b in zip(total, live, strict=True)],
        'seats': still(came, left, 'total_seats'),
        'bad': await _bad_by_hour(customers.exclude(listing=Listing.CLOSED)),
    }


async def _by_day(customers: QuerySet[Customer], moment: str) -> list[dict[str, Any]]:
    """How many customers (`n`) and seats (`total_seats`) by the day of this moment of theirs."""
    day = RawSQL(f'SUBSTR(CAST("customer"."{moment}" AS TEXT),1,10)')
    counted = customers.annotate(day=day, n=Count('id'), total_seats=Sum('seats'))
    return await rows(counted.group_by('day').values('day', 'n', 'total_seats'))


async def _bad_by_hour(customers: QuerySet[Customer]) -> list[int]:
    """How many customers had a problem at the end of each of the last 24 hours: backwards through the flips."""
    now = datetime.now(UTC)
    signals = {
        row['customer_id']: row['n']
        for row in await rows(
            _bad_signals(customers).annotate(n=Count('id')).group_by('customer_id').values('customer_id', 'n')
        )
    }
    moved = await rows(
        Flip.filter(at__gt=now - timedelta(hours=TREND_HOURS), customer_id__in=Subquery(customers.values('id')))
        .filter(Q(old=MonitorState.BAD) | Q(new=MonitorState.BAD))
        .annotate(
            hour=RawSQL('SUBSTR(CAST("flip"."at" AS TEXT),1,13)'),
            change=RawSQL('SUM(CASE WHEN "new"=\'bad\' THEN 1 ELSE 0 END-CASE WHEN "old"=\'bad\' THEN 1 ELSE 0 END)'),
        )
        .group_by('customer_id', 'hour').values('customer_id', 'hour', 'change')
    )  # fmt: skip
    by_hour: dict[str, list[tuple[int, int]]] = {}
    for row in moved:
        by_hour.setdefault(str(row['hour']).replace('T', ' '), []).append((row['customer_id'], row['change']))
    counts, bad = [], len(signals)
    for back in range(TREND_HOURS):
        counts.append(bad)
        for customer_id, change in by_hour.get(f'{now - timedelta(hours=back):%Y-%m-%d %H}', ()):
            before = signals.get(customer_id, 0)
            signals[customer_id] = before - change
            bad += (before - change > 0) - (before > 0)
        await asyncio.sleep(0)  # a bad day of many customers is work for the processor, and others wait
    return counts[::-1]
