"""Read every customer's monitors on its own beat, and at once where the source has news."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobs.sources import LastReading, Source
from models import Monitor, MonitorKind, MonitorState, Reading
from models.database import reader, rows

log = logging.getLogger(__name__)

MOST_CUSTOMERS = 60  # on their beat in one tick: 300 readings, some milliseconds of work


class Beat:
    """Whose turn it is: each customer once in `every` seconds, one after another, so that they are spread out.

    The first round is quick and only for those that missed their turn, while the portal was not running, say. Where
    there are more customers than `MOST_CUSTOMERS` a tick can reach in `every` seconds, a round takes longer.
    """

    def __init__(self, every: float) -> None:
        self.every = every
        self.is_catching_up = True
        self._cursor = 0
        self._owed = 0.0
        self._at: datetime | None = None

    async def due(self, source: Source, now: datetime) -> list[int]:
        passed = (now - self._at).total_seconds() if self._at else 0.0
        self._at = now
        if not (size := await source.size()):
            return []
        if self.is_catching_up:
            return await self._overdue(source, now)
        self._owed = min(self._owed + size * max(0.0, passed) / self.every, MOST_CUSTOMERS)
        most = int(self._owed)
        if not most:
            return []
        self._owed -= most
        ids = await source.customers(self._cursor, most)
        self._cursor = ids[-1] if ids else 0
        return ids

    async def _overdue(self, source: Source, now: datetime) -> list[int]:
        """Those among the next customers that were not read for longer than a round."""
        ids = await source.customers(self._cursor, 10 * MOST_CUSTOMERS)
        if not ids:
            self.is_catching_up, self._cursor = False, 0
            return []
        missed = Monitor.filter(customer_id__in=ids, read_at__lt=now - timedelta(seconds=self.every))
        overdue = sorted({row['customer_id'] for row in await rows(missed.values('customer_id'))})
        is_more = len(overdue) > MOST_CUSTOMERS
        overdue = overdue[:MOST_CUSTOMERS]
        self._cursor = overdue[-1] if is_more else ids[-1]
        return overdue


class MonitorRefresh:
    """Reads the customers of one source, a bounded number at a time; none waits for another.

    A read that fails or takes longer than `timeout` makes that customer's monitors unknown and says why.
    """

    def __init__(
        self, source: Source, *, every: float, timeout: float = 10.0, at_once: int = 50, patience: float = 0.5,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._source = source
        self._beat = Beat(every)
        self._timeout = timeout
        self._patience = patience
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)
        self._most_waiting = 4 * at_once
        self._running: dict[asyncio.Task[list[Reading]], int] = {}
        self._failures: list[str] = []

    async def refresh(self) -> int:
        """Start the reads that are due and store what has come in; return how many icons flipped."""
        now = self._clock()
        for customer_id, monitors in (await self._known(await self._next(now))).items():
            task = asyncio.create_task(self._read(customer_id, monitors))
            self._running[task] = customer_id
        if not self._running:
            return 0
        # Whoever is not done by then is left running and stored by a later call.
        done, _ = await asyncio.wait(self._running, timeout=self._patience)
        readings = [reading for task in done for reading in task.result()]
        for task in done:
            del self._running[task]
        if self._failures:
            log.warning('%d customers could not be read; the first: %s', len(self._failures), self._failures[0])
            self._failures.clear()
        return (await Monitor.record(readings, now=self._clock())).flips

    async def stop(self) -> None:
        """Give up the reads that are still running."""
        running = list(self._running)
        self._running.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _next(self, now: datetime) -> list[int]:
        if len(self._running) >= self._most_waiting:
            return []
        due = await self._beat.due(self._source, now)
        asked = set(self._running.values())
        return [customer_id for customer_id in {*await self._source.news(), *due} if customer_id not in asked]

    async def _known(self, customer_ids: list[int]) -> dict[int, list[LastReading]]:
        known: dict[int, list[LastReading]] = {}
        if not customer_ids:
            return known
        monitors = Monitor.filter(customer_id__in=customer_ids).order_by('customer_id', 'id').using_db(reader())
        names = ('customer_id', 'kind', 'state', 'value', 'threshold', 'reason')
        for row in await rows(monitors.values(*names)):
            last = LastReading(
                MonitorKind(row['kind']), MonitorState(row['state']), row['value'], row['threshold'], row['reason']
            )
            known.setdefault(row['customer_id'], []).append(last)
        return known

    async def _read(self, customer_id: int, monitors: list[LastReading]) -> list[Reading]:
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._source.readings(customer_id, monitors)
            except TimeoutError:
                reason = f'No answer within {self._timeout:g} seconds'
            except Exception as error:  # whatever a vendor's client raises, it is this customer's reading that failed
                reason = f'Could not be read: {error or type(error).__name__}'
        self._failures.append(f'customer {customer_id}: {reason}')
        now = self._clock()
        return [
            Reading(customer_id, last.kind, now, state=MonitorState.UNKNOWN, reason=reason)
            for last in monitors
            if last.state != MonitorState.NOT_CONFIGURED
        ]
