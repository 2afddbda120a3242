"""The five signals of a customer, what the last reading said, and each change of state."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient

from models import events
from models.events import Changed, transaction

if TYPE_CHECKING:
    from models.customer import Customer

OLD_AFTER = timedelta(minutes=45)  # domain.md 6: no sample younger than that and nobody knows
FUTURE = timedelta(minutes=5)
PAST = timedelta(days=30)
AWAITED = 'Waiting for the first reading'
CHUNK = 1000  # readings a transaction: writers in other processes wait no longer than that takes


class MonitorKind(StrEnum):
    INBOUND_QUEUE = 'inbound_queue'
    OUTBOUND_QUEUE = 'outbound_queue'
    JOURNAL_QUEUE = 'journal_queue'
    JOURNAL_CONNECTOR = 'journal_connector'
    DIRECTORY_CONNECTOR = 'directory_connector'

    @property
    def title(self) -> str:
        return _TITLES[self]

    @property
    def is_queue(self) -> bool:
        return self.value.endswith('_queue')


_TITLES = {
    MonitorKind.INBOUND_QUEUE: 'Inbound email queue',
    MonitorKind.OUTBOUND_QUEUE: 'Outbound email queue',
    MonitorKind.JOURNAL_QUEUE: 'Journaling queue',
    MonitorKind.JOURNAL_CONNECTOR: 'Journaling connector',
    MonitorKind.DIRECTORY_CONNECTOR: 'Active Directory connector',
}
# domain.md 6: no public numbers exist; these grow with the customer and can be changed for each.
_THRESHOLDS = {MonitorKind.INBOUND_QUEUE: 100, MonitorKind.OUTBOUND_QUEUE: 100, MonitorKind.JOURNAL_QUEUE: 1000}


class MonitorState(StrEnum):
    GOOD = 'good'
    BAD = 'bad'
    UNKNOWN = 'unknown'
    NOT_CONFIGURED = 'not_configured'


class Health(IntEnum):
    """What an icon shows. The numbers are the order of severity that lists sort by."""

    BAD = 0
    BAD_OLD = 1
    UNKNOWN = 2
    GOOD_OLD = 3
    GOOD = 4
    NOT_CONFIGURED = 5

    @property
    def title(self) -> str:
        return ('Problem', 'Problem, old reading', 'Unknown', 'Good, old reading', 'Good', 'Not configured')[self]

    @classmethod
    def of(cls, state: str, *, is_old: bool) -> 'Health':
        if state == MonitorState.BAD:
            return cls.BAD_OLD if is_old else cls.BAD
        if state == MonitorState.GOOD:
            return cls.GOOD_OLD if is_old else cls.GOOD
        return cls.UNKNOWN if state == MonitorState.UNKNOWN else cls.NOT_CONFIGURED


@dataclass(frozen=True)
class Reading:
    """What was read of one monitor: a value (messages waiting), a state, or both; `at` in UTC."""

    customer_id: int
    kind: MonitorKind
    at: datetime
    value: float | None = None
    state: MonitorState | None = None
    reason: str = ''


@dataclass
class Recorded:
    """What became of a batch: `stored` readings, `repeated` ones that were known or older, `flips` of state."""

    stored: int = 0
    repeated: int = 0
    flips: int = 0


class Monitor(Model):
    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='monitors', on_delete=fields.CASCADE
    )
    customer_id: int
    kind = fields.CharEnumField(MonitorKind, max_length=20)
    state = fields.CharEnumField(MonitorState, max_length=15, default=MonitorState.NOT_CONFIGURED)
    value = fields.FloatField(null=True)
    threshold = fields.FloatField(null=True)
    reason = fields.CharField(max_length=200, default='', db_default='')
    since = fields.DatetimeField(null=True)
    read_at = fields.DatetimeField(null=True)
    # Seconds after which a reading is old, and when that will be (seconds since 1970; a number, to be found by index).
    expected_every = fields.IntField(default=2700, db_default=2700)
    old_at = fields.BigIntField(null=True)
    is_old = fields.BooleanField(default=False, db_default=False)

    class Meta:
        table = 'monitor'
        table_description = 'One of the five signals of a customer'
        unique_together = (('customer_id', 'kind'),)
        indexes = (('is_old', 'old_at'), ('state', 'customer_id'))

    @staticmethod
    def default_threshold(kind: MonitorKind, seats: int) -> float | None:
        base = _THRESHOLDS.get(kind)
        return None if base is None else float(base * max(1, round(seats / 250)))

    @staticmethod
    def judge(reading: Reading, threshold: float | None) -> MonitorState:
        """A state that was told goes before the value; what a value without a threshold means, nobody knows."""
        if reading.state is not None:
            return reading.state
        if reading.value is None or threshold is None:
            return MonitorState.UNKNOWN
        return MonitorState.BAD if reading.value > threshold else MonitorState.GOOD

    @classmethod
    async def record(cls, readings: Iterable[Reading], *, now: datetime | None = None) -> Recorded:
        """Store readings of any number of customers; icons that changed are told to the open pages.

        A reading as old as the last one of its monitor, or older, is known already and changes nothing: a batch may
        be sent twice. Readings of customers that do not exist are left out.
        """
        total = Recorded()
        batch = sorted(readings, key=lambda r: (r.customer_id, r.kind, r.at))
        now = now or datetime.now(UTC)
        for start in range(0, len(batch), CHUNK):
            if start:
                await asyncio.sleep(0)  # let pages and other writers in between
            part = await _record_chunk(batch[start : start + CHUNK], now)
            total.stored += part.stored
            total.repeated += part.repeated
            total.flips += part.flips
        return total

    @classmethod
    async def begin(cls, connection: BaseDBAsyncClient, customer_id: int, kinds: Iterable[MonitorKind]) -> None:
        """Watch these from now on, where they were not configured: nobody knows about them until the first reading.

        Belongs in a transaction that keeps the customer's monitors from others (`customer.hold_monitors`).
        """
        await cls._turn(connection, customer_id, kinds, MonitorState.NOT_CONFIGURED, MonitorState.UNKNOWN, AWAITED)

    @classmethod
    async def end(cls, connection: BaseDBAsyncClient, customer_id: int) -> None:
        """Watch nothing of this customer any more; what was read stays in its history."""
        for state in (MonitorState.BAD, MonitorState.UNKNOWN, MonitorState.GOOD):
            await cls._turn(connection, customer_id, MonitorKind, state, MonitorState.NOT_CONFIGURED, '')

    @classmethod
    async def _turn(
        cls, connection: BaseDBAsyncClient, customer_id: int, kinds: Iterable[MonitorKind], old: MonitorState,
        new: MonitorState, reason: str,
    ) -> None:  # fmt: skip
        found = await cls.filter(customer_id=customer_id, kind__in=list(kinds), state=old).order_by('id')
        if not found:
            return
        now = datetime.now(UTC)
        for each in found:
            await cls.filter(id=each.id).update(
                state=new, since=now, reason=reason, old_at=None, is_old=False, value=None
            )
        await Flip.bulk_create(
            [Flip(customer_id=customer_id, kind=each.kind, old=old, new=new, reason=reason, at=now) for each in found]
        )
        await _show(connection, {customer_id: {each.kind.value: Health.of(new, is_old=False) for each in found}})

    @classmethod
    async def age(cls, *, now: datetime | None = None, limit: int = 2000) -> int:
        """Mark the readings that have become old since the last time; return how many icons changed."""
        from models.database import rows, rows_within

        due = {'is_old': False, 'old_at__lte': int((now or datetime.now(UTC)).timestamp())}
        if not await rows(cls.filter(**due).limit(1).values('id')):
            return 0
        changes: dict[int, dict[str, Health]] = {}
        async with transaction() as connection:
            # Read again within: a reading that came in since then has moved its `old_at`.
            found = await rows_within(
                connection, cls.filter(**due).limit(limit).values('id', 'customer_id', 'kind', 'state'), lock=True
            )
            for row in found:
                changes.setdefault(row['customer_id'], {})[row['kind']] = Health.of(row['state'], is_old=True)
            for start in range(0, len(found), 500):
                await cls.filter(id__in=[row['id'] for row in found[start : start + 500]]).update(is_old=True)
            await _show(connection, changes)
        return len(found)


class Flip(Model):
    """A change of a monitor's state, kept for the record and for the time lines."""

    id = fields.BigIntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='flips', on_delete=fields.CASCADE
    )
    customer_id: int
    kind = fields.CharEnumField(MonitorKind, max_length=20)
    old = fields.CharEnumField(MonitorState, max_length=15)
    new = fields.CharEnumField(MonitorState, max_length=15)
    value = fields.FloatField(null=True)
    reason = fields.CharField(max_length=200, default='', db_default='')
    at = fields.DatetimeField()

    class Meta:
        table = 'flip'
        table_description = 'A change of state of a monitor'
        indexes = (('customer_id', 'at'), ('at',))

    @classmethod
    async def prune(cls, before: datetime) -> int:
        """Forget flips older than `before`, some thousands at a time; return how many went."""
        ids = await cls.filter(at__lt=before).order_by('id').limit(5000).values_list('id', flat=True)
        return await cls.filter(id__in=list(ids)).delete() if ids else 0


def _as_datetime(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


async def _record_chunk(batch: list[Reading], now: datetime) -> Recorded:
    from models.database import rows_within, update_many
    from models.sample import EVERY, Sample

    result = Recorded()
    ids = sorted({reading.customer_id for reading in batch})
    async with transaction() as connection:
        known = {
            (row['customer_id'], row['kind']): row
            for row in await rows_within(
                connection,
                Monitor.filter(customer_id__in=ids)
                .order_by('id')
                .values(
                    'id',
                    'customer_id',
                    'kind',
                    'state',
                    'value',
                    'threshold',
                    'reason',
                    'since',
                    'read_at',
                    'expected_every',
                    'old_at',
                    'is_old',
                ),
                lock=True,
            )
        }
        # With their monitors held: whoever is being closed is closed by now, or waits until this is stored.
        ended = await _closed(connection, ids)
        touched: dict[int, dict] = {}
        shown: dict[int, Health] = {}
        flips: list[Flip] = []
        samples: list[tuple[int, int, float | None, str]] = []
        for reading in batch:
            row = known.get((reading.customer_id, reading.kind.value))
            if row is None or reading.customer_id in ended:
                continue
            read_at = row['read_at'] and _as_datetime(row['read_at'])
            if read_at and reading.at <= read_at:
                result.repeated += 1
                continue
            shown.setdefault(row['id'], Health.of(row['state'], is_old=bool(row['is_old'])))
            state = Monitor.judge(reading, row['threshold'])
            if state != row['state']:
                flips.append(Flip(
                    customer_id=reading.customer_id, kind=reading.kind, old=MonitorState(row['state']), new=state,
                    value=reading.value, reason=reading.reason[:200], at=reading.at,
                ))  # fmt: skip
                row.update(state=state.value, since=reading.at)
            at = int(reading.at.timestamp())
            if read_at is None or at // EVERY != int(read_at.timestamp()) // EVERY:
                samples.append((Sample.id_of(row['id'], at), at, reading.value, state.value))
            ages = state in (MonitorState.GOOD, MonitorState.BAD)
            old_at = at + row['expected_every'] if ages else None
            row.update(
                value=reading.value, read_at=reading.at, reason=reading.reason[:200], old_at=old_at,
                is_old=old_at is not None and old_at <= now.timestamp(),
            )  # fmt: skip
            touched[row['id']] = row
            result.stored += 1
        await update_many(
            connection, Monitor, ['state', 'value', 'reason', 'since', 'read_at', 'old_at', 'is_old'],
            list(touched.values()),
        )  # fmt: skip
        await Sample.store(connection, samples)
        if flips:
            await Flip.bulk_create(flips)
        changes: dict[int, dict[str, Health]] = {}
        for row in touched.values():
            health = Health.of(row['state'], is_old=bool(row['is_old']))
            if health != shown[row['id']]:
                changes.setdefault(row['customer_id'], {})[row['kind']] = health
        await _show(connection, changes)
        if touched:
            events.READINGS_STORED.emit(frozenset(row['customer_id'] for row in touched.values()))
        result.flips = len(flips)
    return result


async def _closed(connection: BaseDBAsyncClient, customer_ids: list[int]) -> set[int]:
    """Which of these customers are closed: nothing of them is watched any more, whoever still sends readings."""
    from models.customer import Customer, Listing
    from models.database import rows_within

    closed = Customer.filter(id__in=customer_ids, listing=Listing.CLOSED).values('id')
    return {row['id'] for row in await rows_within(connection, closed)}


async def _show(connection: BaseDBAsyncClient, changes: dict[int, dict[str, Health]]) -> None:
    """Set the icons on the customers and tell of it; the one place where they are written."""
    from models.customer import Customer
    from models.database import rows_within, update_many

    if not changes:
        return
    icons = [kind.value for kind in MonitorKind]
    customers = await rows_within(
        connection, Customer.filter(id__in=list(changes)).order_by('id').values('id', 'partner_id', *icons), lock=True
    )
    by_partner: dict[int, dict[int, frozenset[str]]] = {}
    for row in customers:
        row.update({kind: int(health) for kind, health in changes[row['id']].items()})
        row['worst'] = min(row[kind] for kind in icons)
        by_partner.setdefault(row['partner_id'], {})[row['id']] = frozenset([*changes[row['id']], 'worst'])
    await update_many(connection, Customer, [*icons, 'worst'], customers)
    for partner_id, changed in by_partner.items():
        events.MONITORS_FLIPPED.emit(Changed(partner_id, changed))
