"""The numbers of the dashboard and of the wall, over the customers that somebody may see."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tortoise.expressions import RawSQL, Subquery
from tortoise.functions import Count, Sum
from tortoise.queryset import QuerySet

from models.customer import Customer, Listing
from models.database import reader, rows
from models.monitor import Flip, Health, Monitor, MonitorKind, MonitorState

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
    bad: int
    signals: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    worst_more: int
    stuck: list[dict[str, Any]]
    stuck_more: int

    @property
    def in_connect(self) -> int:
        return self.waiting + self.in_progress

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {'in_connect': self.in_connect}

    @classmethod
    async def of(cls, customers: QuerySet[Customer]) -> 'Overview':
        listed = {row['listing']: row for row in await rows(_by_listing(customers))}
        signals = [await _signal(customers, kind) for kind in MonitorKind]
        problems = await _worst(customers)
        stuck = await _stuck(customers)
        count = {listing: listed[listing]['n'] if listing in listed else 0 for listing in Listing}
        return cls(
            total=sum(count.values()), waiting=count[Listing.WAITING], in_progress=count[Listing.IN_PROGRESS],
            complete=count[Listing.COMPLETE], seats=sum(row['total_seats'] or 0 for row in listed.values()),
            bad=await customers.filter(worst__lte=Health.BAD_OLD).using_db(reader()).count(), signals=signals,
            worst=problems[:WORST], worst_more=max(0, sum(s['bad'] for s in signals) - min(WORST, len(problems))),
            stuck=stuck[:STUCK], stuck_more=max(0, len(stuck) - STUCK),
        )  # fmt: skip


def _by_listing(customers: QuerySet[Customer]) -> Any:
    return (
        customers.annotate(n=Count('id'), total_seats=Sum('seats'))
        .group_by('listing')
        .values('listing', 'n', 'total_seats')
    )


async def _signal(customers: QuerySet[Customer], kind: MonitorKind) -> dict[str, Any]:
    """How many icons of one kind are in which state. Grouped as the index is, which answers it alone."""
    found = await rows(customers.annotate(n=Count('id')).group_by('listing', kind.value).values(kind.value, 'n'))
    count = dict.fromkeys(Health, 0)
    for row in found:
        count[Health(row[kind.value])] += row['n']
    return {
        'kind': kind.value, 'title': kind.title, 'good': count[Health.GOOD],
        'bad': count[Health.BAD] + count[Health.BAD_OLD], 'unknown': count[Health.UNKNOWN],
        'old': count[Health.GOOD_OLD], 'none': count[Health.NOT_CONFIGURED],
    }  # fmt: skip


async def _worst(customers: QuerySet[Customer]) -> list[dict[str, Any]]:
    """Every bad signal, those of the customers with most of them first, then those that are bad the longest."""
    broken = await rows(
        Monitor.filter(state=MonitorState.BAD, customer_id__in=Subquery(customers.values('id')))
        .order_by('since', 'id')
        .limit(400)
        .values(
            'customer_id', 'kind', 'value', 'threshold', 'since', 'read_at', 'reason', 'is_old',
            name='customer__name', listing='customer__listing',
        )
    )  # fmt: skip
    signals: dict[int, int] = {}
    for row in broken:
        signals[row['customer_id']] = signals.get(row['customer_id'], 0) + 1
    for row in broken:
        row['title'] = MonitorKind(row['kind']).title
        row['is_old'] = bool(row['is_old'])
    return sorted(broken, key=lambda row: (row['is_old'], -signals[row['customer_id']]))


async def _stuck(customers: QuerySet[Customer]) -> list[dict[str, Any]]:
    """Who is blocked, then who has been in the same step for days, the longest first."""
    listed = customers.filter(listing__in=[Listing.WAITING, Listing.IN_PROGRESS])
    columns = {'customer_id': 'id', 'name': 'name', 'step': 'connect_status', 'key': 'connect_key',
               'since': 'connect_since', 'because': 'blocked_because'}  # fmt: skip
    blocked = await rows(
        listed.exclude(blocked_because='').order_by('connect_since', 'id').limit(STUCK * 2).values(**columns)
    )
    slow = await rows(
        listed.filter(blocked_because='', connect_since__lt=datetime.now(UTC) - STUCK_AFTER)
        .order_by('connect_since', 'id').limit(STUCK * 2).values(**columns)
    )  # fmt: skip
    return blocked + slow


# -- trends -----------------------------------------------------------------------------------------------------------


async def trends(customers: QuerySet[Customer]) -> dict[str, list[int]]:
    """How the dashboard's numbers came about: 30 days of customers, Connect and seats, 24 hours of bad signals.

    Worked out from the customers and the flips that can be seen, so that nobody learns of others from a curve. Seats
    are counted as they are now, from the day their customer came.
    """
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(TREND_DAYS - 1, -1, -1)]
    by_day = await rows(
        customers.annotate(day=RawSQL('SUBSTR(CAST("customer"."created_at" AS TEXT),1,10)'), n=Count('id'),
                           total_seats=Sum('seats'))
        .group_by('day').values('day', 'n', 'total_seats')
    )  # fmt: skip
    live_by_day = await rows(
        customers.filter(completed_at__isnull=False)
        .annotate(day=RawSQL('SUBSTR(CAST("customer"."completed_at" AS TEXT),1,10)'), n=Count('id'))
        .group_by('day').values('day', 'n')
    )  # fmt: skip

    def until(found: list[dict], name: str) -> list[int]:
        return [sum(row[name] or 0 for row in found if str(row['day']) <= str(day)) for day in days]

    total, live = until(by_day, 'n'), until(live_by_day, 'n')
    return {
        'total': total,
        'in_connect': [max(0, a - b) for a, b in zip(total, live, strict=True)],
        'seats': until(by_day, 'total_seats'),
        'bad': await _bad_by_hour(customers),
    }


async def _bad_by_hour(customers: QuerySet[Customer]) -> list[int]:
    """How many signals were bad at the end of each of the last 24 hours: from now backwards through the flips."""
    now = datetime.now(UTC)
    visible = Subquery(customers.values('id'))
    bad_now = await Monitor.filter(state=MonitorState.BAD, customer_id__in=visible).count()
    moved = await rows(
        Flip.filter(at__gt=now - timedelta(hours=TREND_HOURS), customer_id__in=visible)
        .annotate(
            hour=RawSQL('SUBSTR(CAST("flip"."at" AS TEXT),1,13)'),
            change=RawSQL(
                "SUM(CASE WHEN \"new\"='bad' THEN 1 ELSE 0 END)-SUM(CASE WHEN \"old\"='bad' THEN 1 ELSE 0 END)"
            ),
        )
        .group_by('hour').values('hour', 'change')
    )  # fmt: skip
    changes = {str(row['hour']).replace('T', ' '): row['change'] for row in moved}
    counts, bad = [], bad_now
    for back in range(TREND_HOURS):
        counts.append(max(0, bad))
        bad -= changes.get(f'{now - timedelta(hours=back):%Y-%m-%d %H}', 0)
    return counts[::-1]
