"""The simulated vendor: how the monitors of simulated customers behave, and of no others.

Queues build and drain within minutes, connectors fail and come back, now and then a reading fails. What it changes is
capped over all customers, and a tick costs the same whether there are 30 of them or 100,000.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.sources import LastReading
from jobs.sources.population import Block, Population
from models import Customer, Health, Listing, Monitor, MonitorKind, MonitorState, Reading
from models.database import reader, rows
from models.demo_names import CONNECTOR_FAILED, NOT_READ
from models.events import Changed
from models.monitor import AWAITED

# Of the customers that are live, this many have a problem: a few everywhere, and some for every thousand.
_FEW = (4.5, 6.0)
_SHARE = 0.015
_MOST_SHARE = 1 / 3  # where the rate is so high that troubles would have to be shorter than _LEAST_SECONDS
CONNECT_SHARE = 0.25
# How much of what the cap allows is used: with so many live customers half of _FULL, with many nearly all of it.
_FULL = 0.9
_HALF = 30
_LEAST_SECONDS = 6.0
_MOST_SECONDS = 3600.0
_MOST_TROUBLES = 2000
_MOST_BLOCKS = 10  # looked at in one tick
_MOST_NEWS = 50  # a tick, or as many as the cap allows in a second
_PATIENCE = timedelta(seconds=2)  # until it is tried again when the cap did not allow a change
_GOOD, _BAD, _UNKNOWN = MonitorState.GOOD, MonitorState.BAD, MonitorState.UNKNOWN


def _now() -> datetime:
    return datetime.now(UTC)


def since(then: datetime | None, now: datetime) -> float:
    """Seconds that have passed; none where there was no time before, or the clock was set back."""
    return max(0.0, (now - then).total_seconds()) if then else 0.0


class Budget:
    """Allows `rate` changes a second, and a second's worth (rounded up) at once."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._most = float(math.ceil(rate))
        self._left = self._most
        self._at: datetime | None = None

    def take(self, now: datetime) -> bool:
        self._left = min(self._most, self._left + self.rate * since(self._at, now))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass
class Trouble:
    """Why a monitor is not good for a while; for a queue, how it grows to `peak` (in thresholds) and drains."""

    state: MonitorState
    began: datetime
    top: datetime
    ends: datetime
    peak: float = 0.0
    start: float = 0.2
    reason: str = ''

    def level(self, now: datetime) -> float:
        """How full the queue is, in thresholds."""
        if now < self.top:
            return self.start + (self.peak - self.start) * ((now - self.began) / (self.top - self.began))
        return max(0.1, self.peak - (self.peak - 0.1) * ((now - self.top) / (self.ends - self.top)))

    def moments(self) -> list[datetime]:
        """When it is worth looking: as the queue passes the threshold, at its peak, and at the end."""
        if not self.peak:
            return [self.began, self.ends]
        up = self.began + (self.top - self.began) * max(0.0, (1 - self.start) / (self.peak - self.start))
        down = self.top + (self.ends - self.top) * min(1.0, (self.peak - 1) / (self.peak - 0.1))
        late = timedelta(seconds=1)
        return [up + late, self.top, down + late, self.ends]


class SimulatedVendor:
    """A `Source` for the simulated customers."""

    def __init__(
        self, rate: float, *, chance: random.Random | None = None, clock: Callable[[], datetime] = _now
    ) -> None:
        self.chance = chance or random.Random()
        self.clock = clock
        self.population = Population()
        # Connect has the rest of the rate to itself.
        self.budget = Budget(rate * (1 - CONNECT_SHARE))
        self.rate = rate
        self._owed = 0.0  # troubles that are due to begin
        self._looked_at: datetime | None = None
        self._troubles: dict[tuple[int, MonitorKind], Trouble] = {}
        self._arriving: dict[int, set[MonitorKind]] = {}
        self._looks: list[tuple[datetime, int, int]] = []
        self._expected: set[int] = set()
        self._ties = itertools.count()
        self._trying_again: set[int] = set()
        self._seen: dict[int, tuple[int, int]] = {}
        self._few, self._few_until = _FEW[0], clock()

    # -- the door -----------------------------------------------------------------------------------------------------

    async def size(self) -> int:
        await self.population.count(self.clock())
        return self.population.total

    async def customers(self, after: int, most: int) -> list[int]:
        return await self.population.after(after, most)

    async def news(self) -> set[int]:
        """Let something happen somewhere; return the customers where it shows now."""
        now = self.clock()
        await self.population.count(now)
        await self._look_around(now)
        await self._awaited(now)
        most = max(_MOST_NEWS, math.ceil(2 * self.budget.rate))
        shown = set(list(self._arriving)[:most])
        while self._looks and self._looks[0][0] <= now and len(shown) < most:
            shown.add(heapq.heappop(self._looks)[2])
        self._trying_again -= shown
        return shown

    async def readings(self, customer_id: int, last: Sequence[LastReading]) -> list[Reading]:
        now = self.clock()
        read = (self._read(customer_id, known, now) for known in last)
        return [reading for reading in read if reading is not None]

    def expect(self, changed: Changed) -> None:
        """Icons of these customers changed: some may wait for their first reading."""
        if len(self._expected) < _MOST_TROUBLES:
            self._expected |= changed.rows.keys()

    async def _awaited(self, now: datetime) -> None:
        """Look soon at those whose monitors were configured just now."""
        expected, self._expected = sorted(self._expected)[:500], set()
        if not expected:
            return
        waiting = Monitor.filter(customer_id__in=expected, customer__is_simulated=True, reason=AWAITED)
        found = await rows(waiting.values('customer_id'))
        for customer_id in sorted({row['customer_id'] for row in found}):
            self._look(customer_id, now + timedelta(seconds=self.chance.uniform(4, 20)))

    def arrive(self, customer_id: int, kinds: list[MonitorKind]) -> None:
        """A customer has gone live: these monitors are read from now on."""
        if kinds:
            self._arriving[customer_id] = set(kinds)

    # -- what a reading says ------------------------------------------------------------------------------------------

    def _read(self, customer_id: int, known: LastReading, now: datetime) -> Reading | None:
        if known.state == MonitorState.NOT_CONFIGURED:
            return self._first_reading(customer_id, known, now)
        if known.state == _UNKNOWN and known.reason == AWAITED:
            return self._as_wished(customer_id, known, _GOOD, self._calm(customer_id, known, now), '', now)
        trouble = self._trouble(customer_id, known, now)
        if trouble is None and known.state != _GOOD:
            return self._as_before(customer_id, known, now)  # there is too much to keep in mind already
        if trouble is None or now >= trouble.ends:
            reading = self._as_wished(customer_id, known, _GOOD, self._calm(customer_id, known, now), '', now)
            if reading.state in (None, _GOOD):
                self._troubles.pop((customer_id, known.kind), None)
            return reading
        if trouble.state == _UNKNOWN:
            return self._as_wished(customer_id, known, _UNKNOWN, None, trouble.reason, now)
        if not known.kind.is_queue or known.threshold is None:
            return self._as_wished(customer_id, known, _BAD, None, trouble.reason, now)
        value = float(int(known.threshold * trouble.level(now)))
        wished = _BAD if value > known.threshold else _GOOD
        return self._as_wished(customer_id, known, wished, value, '', now)

    def _as_wished(
        self, customer_id: int, known: LastReading, wished: MonitorState, value: float | None, reason: str,
        now: datetime,
    ) -> Reading:  # fmt: skip
        """The reading, if it changes nothing or the cap allows a change."""
        if wished != known.state and not self.budget.take(now):
            if customer_id not in self._trying_again:
                self._trying_again.add(customer_id)
                self._look(customer_id, now + _PATIENCE)
            return self._as_before(customer_id, known, now)
        told = None if value is not None and wished != _UNKNOWN else wished
        return Reading(customer_id, known.kind, now, value=value, state=told, reason=reason)

    @staticmethod
    def _as_before(customer_id: int, known: LastReading, now: datetime) -> Reading:
        return Reading(customer_id, known.kind, now, value=known.value, state=known.state, reason=known.reason)

    @staticmethod
    def _calm(customer_id: int, known: LastReading, now: datetime) -> float | None:
        """What waits in a queue on a good day: a few, never the same, and never near the threshold."""
        if not known.kind.is_queue:
            return None
        wave = math.sin(now.timestamp() / 400 + customer_id * 1.7 + len(known.kind.value))
        return float(int((known.threshold or 50.0) * (0.12 + 0.1 * wave)))

    def _first_reading(self, customer_id: int, known: LastReading, now: datetime) -> Reading | None:
        expected = self._arriving.get(customer_id, set())
        if known.kind not in expected or not self.budget.take(now):
            return None
        expected.discard(known.kind)
        if not expected:
            del self._arriving[customer_id]
        value = self._calm(customer_id, known, now)
        return Reading(customer_id, known.kind, now, value=value, state=None if value is not None else _GOOD)

    # -- what happens -------------------------------------------------------------------------------------------------

    def _trouble(self, customer_id: int, known: LastReading, now: datetime) -> Trouble | None:
        """The monitor's trouble; one that was there before this process is taken over, and ends in its time."""
        trouble = self._troubles.get((customer_id, known.kind))
        if trouble is None and known.state in (_BAD, _UNKNOWN) and len(self._troubles) < _MOST_TROUBLES:
            full = (known.value or 0) / known.threshold if known.threshold else 0.0
            trouble = Trouble(
                known.state, began=now, top=now, ends=now + self._lasting(),
                peak=max(1.1, full) if known.kind.is_queue and known.state == _BAD else 0.0, reason=known.reason,
            )  # fmt: skip
            self._begin(customer_id, known.kind, trouble)
        return trouble

    def _begin(self, customer_id: int, kind: MonitorKind, trouble: Trouble) -> None:
        self._troubles[customer_id, kind] = trouble
        for moment in trouble.moments():
            self._look(customer_id, moment)

    def _look(self, customer_id: int, at: datetime) -> None:
        heapq.heappush(self._looks, (at, next(self._ties), customer_id))

    async def _look_around(self, now: datetime) -> None:
        """Look at some customers by chance, and begin the troubles that are due."""
        if not self.budget.rate or not self.population.blocks:
            return
        pace = self._pace()
        self._owed += pace * since(self._looked_at, now) * self.chance.uniform(0.4, 1.6)
        self._owed = min(self._owed, max(1.0, 2 * pace))  # what could not begin is not made good in a burst
        self._looked_at = now
        blocks = min(max(1, math.ceil(self._owed)), _MOST_BLOCKS)
        for left in range(blocks, 0, -1):
            block = self.population.any_block(self.chance)
            if block is None:
                return
            live = await self.population.members(block, Listing.COMPLETE)
            await self._take_over([customer for customer in live if customer.worst <= Health.UNKNOWN], now)
            room = math.ceil(self._wanted(now) - self._problems(block, live))
            due = min(math.ceil(int(self._owed) / left), room)
            quiet = [c for c in live if c.worst in (Health.GOOD, Health.GOOD_OLD) and not self._is_in_trouble(c.id)]
            if due > 0 and quiet:
                chosen = self.chance.sample(quiet, min(due, len(quiet)))
                self._owed -= await self._make_trouble([customer.id for customer in chosen], now)

    def _is_in_trouble(self, customer_id: int) -> bool:
        return any((customer_id, kind) in self._troubles for kind in MonitorKind)

    def _pace(self) -> float:
        """Troubles a second: each is two changes, its beginning and its end, and many customers use up the cap."""
        live = self.population.live
        return _FULL * self.budget.rate / 2 * live / (live + _HALF)

    def _usual(self) -> float:
        """How many customers have a problem at the same time."""
        live = self.population.live
        usual = min(self._few, live / 4) + _SHARE * live
        hurried = min(self._pace() * _LEAST_SECONDS, _MOST_SHARE * live)
        return min(max(usual, hurried), 0.75 * _MOST_TROUBLES)

    def _wanted(self, now: datetime) -> float:
        """With how many problems no further one begins."""
        if now >= self._few_until:
            self._few = self.chance.uniform(*_FEW)
            self._few_until = now + timedelta(seconds=90)
        return 1.25 * self._usual()

    def _lasting(self, times: float = 1.0) -> timedelta:
        """How long a problem lasts: as many as are usual come and go at the pace; most are shorter, some far longer."""
        seconds = min(max(self._usual() / max(self._pace(), 1e-6), _LEAST_SECONDS), _MOST_SECONDS)
        by_chance = self.chance.uniform(2, 4) if self.chance.random() < 0.1 else self.chance.uniform(0.4, 1.2)
        return timedelta(seconds=seconds * times * by_chance)

    def _problems(self, block: Block, live: list[Customer]) -> float:
        """About how many customers have a problem or are about to have one."""
        bad = sum(customer.worst in (Health.BAD, Health.BAD_OLD) for customer in live)
        self._seen[block.number] = (bad, len(live))
        while len(self._seen) > 100:  # the blocks that were looked at last stand for all
            del self._seen[next(iter(self._seen))]
        share = sum(bad for bad, _ in self._seen.values()) / max(1, sum(count for _, count in self._seen.values()))
        known = {customer_id for (customer_id, _), t in self._troubles.items() if t.state == _BAD}
        return max(len(known), share * self.population.live)

    async def _take_over(self, troubled: list[Customer], now: datetime) -> None:
        strange = [customer.id for customer in troubled if not self._is_in_trouble(customer.id)]
        for monitor in await self._monitors(strange, _BAD, _UNKNOWN) if strange else []:
            self._trouble(monitor.customer_id, _last(monitor), now)

    async def _make_trouble(self, customer_ids: list[int], now: datetime) -> int:
        """Something happens to each of these customers; return how many monitors it shows on."""
        good: dict[int, list[MonitorKind]] = {}
        for monitor in await self._monitors(customer_ids, _GOOD):
            good.setdefault(monitor.customer_id, []).append(monitor.kind)
        before = len(self._troubles)
        for customer_id, kinds in good.items():
            if len(self._troubles) < _MOST_TROUBLES:
                self._trouble_one(customer_id, kinds, now)
        return len(self._troubles) - before

    def _trouble_one(self, customer_id: int, kinds: list[MonitorKind], now: datetime) -> None:
        kind = self.chance.choice(kinds)
        if self.chance.random() < 0.12:
            self._begin(customer_id, kind, self._passing(_UNKNOWN, now, self.chance.choice(NOT_READ), times=0.5))
            return
        if kind.is_queue:
            self._begin(customer_id, kind, self._queue_builds(now))
            return
        self._begin(customer_id, kind, self._passing(_BAD, now, self.chance.choice(CONNECTOR_FAILED[kind.value])))
        if kind == MonitorKind.JOURNAL_CONNECTOR and MonitorKind.JOURNAL_QUEUE in kinds:
            # What a connector does not fetch piles up.
            self._begin(customer_id, MonitorKind.JOURNAL_QUEUE, self._queue_builds(now))

    def _passing(self, state: MonitorState, now: datetime, reason: str, *, times: float = 1.0) -> Trouble:
        return Trouble(state, now, now, now + self._lasting(times), reason=reason)

    def _queue_builds(self, now: datetime) -> Trouble:
        length = self._lasting(1.3)  # a part of which it only grows
        return Trouble(
            _BAD, began=now, top=now + length * self.chance.uniform(0.2, 0.45), ends=now + length,
            peak=self.chance.uniform(1.3, 5),
        )  # fmt: skip

    @staticmethod
    async def _monitors(customer_ids: list[int], *states: MonitorState) -> list[Monitor]:
        return await (
            Monitor.filter(customer_id__in=customer_ids, customer__is_simulated=True, state__in=list(states))
            .order_by('id')
            .using_db(reader())
        )


def _last(monitor: Monitor) -> LastReading:
    return LastReading(monitor.kind, monitor.state, monitor.value, monitor.threshold, monitor.reason)
