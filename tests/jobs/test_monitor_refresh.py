import asyncio
from collections.abc import Sequence

from jobs.monitor_refresh import Beat, MonitorRefresh
from jobs.sources import LastReading
from models import Customer, Monitor, MonitorKind, MonitorState, Reading

INBOUND = MonitorKind.INBOUND_QUEUE


class Twin:
    """A source that does as it is told."""

    def __init__(self, customers: list[int], clock) -> None:
        self.ids, self.clock = sorted(customers), clock
        self.silent: set[int] = set()
        self.failing: set[int] = set()
        self.heard: set[int] = set()
        self.asked: list[int] = []
        self.value = 1.0

    async def size(self) -> int:
        return len(self.ids)

    async def customers(self, after: int, most: int) -> list[int]:
        return [customer_id for customer_id in self.ids if customer_id > after][:most]

    async def news(self) -> set[int]:
        heard, self.heard = self.heard, set()
        return heard

    async def readings(self, customer_id: int, last: Sequence[LastReading]) -> list[Reading]:
        self.asked.append(customer_id)
        if customer_id in self.silent:
            await asyncio.Event().wait()
        if customer_id in self.failing:
            raise ConnectionError('refused')
        return [Reading(customer_id, INBOUND, self.clock(), value=self.value)]


async def _customers(partner, count: int, clock) -> list[int]:
    ids = []
    for n in range(count):
        customer = await Customer.add(partner, name=f'Customer {n}', account_code=f'C{n}', seats=10)
        await customer.record_readings({INBOUND: 1}, at=clock())
        ids.append(customer.id)
    return ids


async def test_what_the_source_reads_is_stored(db, northwind, clock, state_of):
    [customer] = await _customers(northwind.partner, 1, clock)
    twin = Twin([customer], clock)
    clock.advance(10)
    twin.heard, twin.value = {customer}, 5000.0
    assert await MonitorRefresh(twin, every=900, clock=clock).refresh() == 1
    assert await state_of(customer, INBOUND) == MonitorState.BAD
    assert await state_of(customer, MonitorKind.OUTBOUND_QUEUE) == MonitorState.NOT_CONFIGURED


async def test_a_failing_customer_is_unknown_and_stops_nobody(db, northwind, clock, state_of):
    first, second, third = await _customers(northwind.partner, 3, clock)
    twin = Twin([first, second, third], clock)
    clock.advance(10)
    twin.heard, twin.failing, twin.value = {first, second, third}, {first}, 5000.0
    await MonitorRefresh(twin, every=900, clock=clock).refresh()
    failed = await Monitor.get(customer_id=first, kind=INBOUND)
    assert (failed.state, failed.reason) == (MonitorState.UNKNOWN, 'Could not be read: refused')
    # Nothing is invented of what was never configured.
    assert await state_of(first, MonitorKind.JOURNAL_QUEUE) == MonitorState.NOT_CONFIGURED
    assert await state_of(second, INBOUND) == await state_of(third, INBOUND) == MonitorState.BAD


async def test_a_silent_customer_holds_up_nobody_and_is_unknown_in_the_end(db, northwind, clock, state_of):
    first, second = await _customers(northwind.partner, 2, clock)
    twin = Twin([first, second], clock)
    clock.advance(10)
    twin.heard, twin.silent, twin.value = {first, second}, {first}, 5000.0
    refresh = MonitorRefresh(twin, every=900, timeout=0.05, patience=0.01, clock=clock)
    await refresh.refresh()
    assert await state_of(second, INBOUND) == MonitorState.BAD
    assert await state_of(first, INBOUND) == MonitorState.GOOD
    twin.heard = {first}
    clock.advance(1)
    for _ in range(100):
        if await refresh.refresh():
            break
    assert await state_of(first, INBOUND) == MonitorState.UNKNOWN
    assert twin.asked.count(first) == 1  # not again while it is being asked


async def test_stopping_gives_up_what_still_runs(db, northwind, clock):
    [customer] = await _customers(northwind.partner, 1, clock)
    twin = Twin([customer], clock)
    twin.heard = twin.silent = {customer}
    refresh = MonitorRefresh(twin, every=900, patience=0.01, clock=clock)
    await refresh.refresh()
    await asyncio.wait_for(refresh.stop(), 1)
    assert await refresh.refresh() == 0


async def test_each_customer_has_its_turn_once_in_a_round_and_they_are_spread_out(db, clock):
    twin, beat = Twin(list(range(1, 91)), clock), Beat(900)
    while beat.is_catching_up:
        assert await beat.due(twin, clock()) == []
    turns: list[int] = []
    for _ in range(900):
        clock.advance(1)
        due = await beat.due(twin, clock())
        assert len(due) <= 1
        turns += due
    assert len(turns) >= 88
    assert len(set(turns)) == len(turns)


async def test_those_that_missed_their_turn_come_first(db, northwind, clock):
    missed = await _customers(northwind.partner, 3, clock)
    clock.advance(1000)
    fresh = await Customer.add(northwind.partner, name='Fresh', account_code='F1')
    await fresh.record_readings({INBOUND: 1}, at=clock())
    twin = Twin([*missed, fresh.id], clock)
    await MonitorRefresh(twin, every=900, clock=clock).refresh()
    assert sorted(twin.asked) == missed


async def test_a_tick_asks_a_bounded_number(db, clock):
    twin, beat = Twin(list(range(1, 5001)), clock), Beat(5)
    while beat.is_catching_up:
        await beat.due(twin, clock())
    for _ in range(3):
        clock.advance(1)
        assert len(await beat.due(twin, clock())) == 60
