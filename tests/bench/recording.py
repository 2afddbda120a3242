"""Run by the bench in a data folder: how many readings per second `Monitor.record` stores."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta

from models import Customer, Monitor, MonitorKind, MonitorState, Reading
from models.database import opened

BATCH = 10_000


async def batch(ids: list[int], at: datetime, state: MonitorState) -> float:
    """Record one batch; return how many were stored per second."""
    value = float(at.second)
    readings = [Reading(customer, kind, at, value, state) for customer in ids for kind in MonitorKind][:BATCH]
    began = time.perf_counter()
    recorded = await Monitor.record(readings)
    took = time.perf_counter() - began
    if recorded.stored != len(readings):
        sys.exit(f'{recorded.stored} of {len(readings)} readings were stored')
    return recorded.stored / took


async def main(batches: int) -> None:
    async with opened():
        ids = await Customer.filter(account_code__startswith='BENCH').limit(2000).values_list('id', flat=True)
        at = datetime.now(UTC) - timedelta(minutes=20)
        found: dict[str, list[float]] = {'unchanged': [], 'flipping': []}
        await batch(ids, at, MonitorState.GOOD)
        for n in range(1, batches + 1):
            found['unchanged'].append(await batch(ids, at + timedelta(seconds=n), MonitorState.GOOD))
        for n in range(1, batches + 1):
            state = (MonitorState.GOOD, MonitorState.BAD)[n % 2]
            found['flipping'].append(await batch(ids, at + timedelta(minutes=1, seconds=n), state))
        print(json.dumps(found))


if __name__ == '__main__':
    asyncio.run(main(int(sys.argv[1])))
