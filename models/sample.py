from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Q

from models.monitor import MonitorState

EVERY = 900  # seconds between two samples: the interval at which queues are read (domain.md 1.14)
KEPT = 192  # samples of a monitor: 48 hours


class Sample(Model):
    """A reading that a chart shows: the first of each quarter of an hour, in a ring that holds the last 48 hours.

    The id is `monitor_id * KEPT + slot % KEPT`, `slot` being the number of the quarter since 1970: so the newest takes
    the place of the one 48 hours before, and the table grows with monitors, not with time.
    """

    id = fields.BigIntField(primary_key=True, generated=False)
    at = fields.BigIntField()  # seconds since 1970
    value = fields.FloatField(null=True)
    state = fields.CharEnumField(MonitorState, max_length=15)

    class Meta:
        table = 'sample'
        table_description = 'A reading that a chart shows'

    @staticmethod
    def id_of(monitor_id: int, at: int) -> int:
        """The place in the ring of a reading at this time."""
        return monitor_id * KEPT + at // EVERY % KEPT

    @classmethod
    async def store(cls, connection: BaseDBAsyncClient, samples: Iterable[tuple[int, int, float | None, str]]) -> None:
        """Put samples (id, at, value, state) into their places, in one statement for many; what is newer stays."""
        if rows := [list(sample) for sample in samples]:
            sqlite = connection.capabilities.dialect == 'sqlite'
            await connection.execute_many(_STORE.format(*('????' if sqlite else ('$1', '$2', '$3', '$4'))), rows)

    @classmethod
    async def chart(cls, customer_id: int, *, now: datetime | None = None) -> dict[str, dict[str, Any]]:
        """What charts of the last 48 hours show of each monitor that was ever read, by kind.

        `points` are [at, value or None, state], oldest first, and there is none for a quarter in which nothing was
        read; `last` is the latest reading, in the same form, or None where it is older; `flips` are [at, old, new,
        value]; `threshold` is of now; `from` is when the 48 hours begin. Times are seconds since 1970.
        """
        from models.database import rows
        from models.monitor import Flip, Monitor

        begin = int((now or datetime.now(UTC)).timestamp()) - EVERY * KEPT
        names = ('id', 'kind', 'threshold', 'value', 'state', 'read_at')
        monitors = await rows(
            Monitor.filter(customer_id=customer_id, read_at__isnull=False).order_by('id').values(*names)
        )
        if not monitors:
            return {}
        charts: dict[str, dict[str, Any]] = {}
        by_id: dict[int, list[list]] = {}
        for row in monitors:
            read_at = _seconds(row['read_at'])
            last = [read_at, row['value'], row['state']] if read_at >= begin else None
            by_id[row['id']] = []
            charts[row['kind']] = {
                'points': by_id[row['id']], 'flips': [], 'last': last, 'threshold': row['threshold'], 'from': begin,
            }  # fmt: skip
        rings = (Q(id__gte=monitor_id * KEPT, id__lt=(monitor_id + 1) * KEPT) for monitor_id in by_id)
        samples = cls.filter(Q(*rings, join_type=Q.OR)).filter(at__gte=begin)
        for row in sorted(await rows(samples.values('id', 'at', 'value', 'state')), key=lambda row: row['at']):
            by_id[row['id'] // KEPT].append([row['at'], row['value'], row['state']])
        since = datetime.fromtimestamp(begin, UTC)
        flips = Flip.filter(customer_id=customer_id, at__gte=since).order_by('at', 'id')
        for row in await rows(flips.values('at', 'kind', 'old', 'new', 'value')):
            if row['kind'] in charts:
                charts[row['kind']]['flips'].append([_seconds(row['at']), row['old'], row['new'], row['value']])
        return charts


# What is newer stays, whoever comes late.
_STORE = (
    'INSERT INTO "sample" ("id", "at", "value", "state") VALUES ({}, {}, {}, {}) ON CONFLICT ("id") DO UPDATE SET '
    '"at" = excluded."at", "value" = excluded."value", "state" = excluded."state" WHERE excluded."at" > "sample"."at"'
)


def _seconds(value: datetime | str) -> int:
    return int((value if isinstance(value, datetime) else datetime.fromisoformat(value)).timestamp())
