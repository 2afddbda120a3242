import random
from datetime import timedelta

import pytest

from jobs.monitor_refresh import MonitorRefresh
from jobs.sources.simulated import Budget, SimulatedVendor, Trouble
from jobs.sources.simulated_connect import SimulatedConnect
from models import (
    ConnectStep,
    Customer,
    Flip,
    Health,
    HistoryEvent,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    Partner,
    Reading,
    Rfi,
    RfiState,
    events,
)
from models.demo import load_demo, make_customers
from models.monitor import AWAITED


class World:
    """The simulated vendor and the two jobs that listen to it."""

    def __init__(self, clock, *, rate: float = 2.0, seed: int = 1) -> None:
        self.clock = clock
        self.vendor = SimulatedVendor(rate, chance=random.Random(seed), clock=clock)
        self.connect = SimulatedConnect(self.vendor)
        self.refresh = MonitorRefresh(self.vendor, every=900, clock=clock)

    async def pass_time(self, seconds: int) -> tuple[int, int]:
        flips = moves = 0
        for _ in range(seconds):
            self.clock.advance(1)
            flips += await self.refresh.refresh()
            moves += await self.connect.advance()
        return flips, moves


@pytest.fixture
async def demo(db) -> Partner:
    await load_demo()
    return await Partner.get(name='Northwind IT')


async def test_a_demo_moves_and_its_picture_stays_the_same(demo, clock):
    world = World(clock)
    await world.pass_time(120)
    seen, flipped, moved = [], 0, 0
    for _ in range(24):
        flips, moves = await world.pass_time(10)
        flipped, moved = flipped + flips, moved + moves
        seen.append(await Customer.filter(partner=demo, worst__in=[Health.BAD, Health.BAD_OLD]).count())
    assert 2 <= sum(seen) / len(seen) <= 5
    assert max(seen) <= 7
    assert flipped > 10
    assert moved > 5
    assert await Customer.filter(partner=demo, worst=Health.GOOD).count() >= 5


@pytest.mark.parametrize(
    ('rate', 'more', 'least', 'most'),
    [(0.5, 0, 0.06, 0.2), (8.0, 0, 1.0, 2.4), (2.0, 300, 0.9, 1.5), (60.0, 300, 20, 45)],
)
async def test_icons_change_as_often_as_the_rate_says(sqlite_db, clock, rate, more, least, most):
    await load_demo()
    if more:
        await make_customers(await Partner.get(name='Northwind IT'), more, seed=2)
    world = World(clock, rate=rate)
    await world.pass_time(60)
    flips, _ = await world.pass_time(180)
    assert least <= flips / 180 <= most
    troubled = await Customer.filter(worst__in=[Health.BAD, Health.BAD_OLD]).count()
    assert troubled <= 0.5 * world.vendor.population.live


async def test_steps_are_taken_as_often_as_the_rate_says(sqlite_db, clock):
    await load_demo()
    _, few = await World(clock, rate=2).pass_time(300)
    _, many = await World(clock, rate=20).pass_time(300)
    assert 10 <= few <= 50
    assert many > 5 * few


async def test_icons_agree_with_monitors_while_it_moves(demo, clock):
    await World(clock).pass_time(90)
    for customer in await Customer.all().prefetch_related('monitors'):
        icons = [Health.of(monitor.state, is_old=monitor.is_old) for monitor in customer.monitors]
        assert customer.worst == min(icons)


async def test_readings_do_not_grow_old_while_it_runs(demo, clock):
    await Monitor.all().update(expected_every=2700)
    clock.advance(100_000)  # a night off
    world = World(clock)
    await world.pass_time(5)
    now = clock()
    assert (
        await Monitor.filter(state__in=[MonitorState.GOOD, MonitorState.BAD], read_at__lt=now - timedelta(60)).count()
        == 0
    )
    assert await Monitor.filter(is_old=True).count() == 0


@pytest.mark.parametrize('rate', [0.5, 2.0])
async def test_the_cap_holds_over_all_customers(demo, clock, rate, monkeypatch):
    await make_customers(demo, 200, seed=2)
    good = await Monitor.filter(state=MonitorState.GOOD, customer__is_simulated=True)
    await Monitor.record(Reading(m.customer_id, m.kind, clock(), state=MonitorState.BAD) for m in good)
    # All of them want to recover at once.
    monkeypatch.setattr(SimulatedVendor, '_lasting', lambda *_: timedelta(seconds=3))
    flips_before = await Flip.exclude(reason=AWAITED).count()
    history_before = await HistoryEvent.all().count()
    world = World(clock, rate=rate)
    flips, moves = await world.pass_time(60)
    assert flips + moves <= 60 * rate + 2 * max(1, rate)
    assert flips > 60 * rate / 2
    # What a step configures begins with it.
    assert await Flip.exclude(reason=AWAITED).count() - flips_before == flips
    assert await HistoryEvent.all().count() - history_before == moves


async def test_a_rate_of_nothing_changes_nothing(demo, clock):
    await Monitor.all().update(expected_every=10**6)
    assert await World(clock, rate=0).pass_time(100) == (0, 0)


async def test_the_same_chance_does_the_same(demo, clock):
    vendors = [SimulatedVendor(2.0, chance=random.Random(3), clock=clock) for _ in range(2)]
    for _ in range(30):
        clock.advance(1)
        first, second = [await vendor.news() for vendor in vendors]
        assert first == second
    assert vendors[0]._troubles == vendors[1]._troubles
    assert vendors[0]._troubles


async def test_a_real_customer_is_never_touched(demo, clock):
    real = [
        await Customer.add(
            demo, name=f'Real {n}', account_code=f'REAL{n}', products=['SEC+ARC'], rfi=RfiState.SUBMITTED,
            listing=Listing.COMPLETE if n % 2 else Listing.IN_PROGRESS,
        )
        for n in range(20)
    ]  # fmt: skip
    for customer in real[:10]:
        await customer.record_readings(dict.fromkeys(MonitorKind, MonitorState.BAD), at=clock())
    ids = [customer.id for customer in real]
    touched: set[int] = set()
    for event in events.ABOUT_CUSTOMERS:
        event.subscribe(lambda changed: touched.update(changed.rows))
    before = [await model.filter(customer_id__in=ids).order_by('id').values() for model in (Monitor, ConnectStep, Rfi)]
    await World(clock, rate=50).pass_time(120)
    after = [await model.filter(customer_id__in=ids).order_by('id').values() for model in (Monitor, ConnectStep, Rfi)]
    assert before == after
    assert touched
    assert not touched & set(ids)


async def test_only_configured_monitors_are_read(demo, clock):
    missing = await Monitor.filter(state=MonitorState.NOT_CONFIGURED, customer__listing=Listing.COMPLETE)
    assert missing
    world = World(clock, rate=50)
    world.connect._owed = -1e9  # nobody goes live meanwhile
    await world.pass_time(100)
    for monitor in await Monitor.filter(id__in=[monitor.id for monitor in missing]):
        assert (monitor.state, monitor.read_at) == (MonitorState.NOT_CONFIGURED, None)


async def test_a_trouble_from_before_a_restart_passes(demo, clock, state_of):
    bad = await Monitor.filter(state=MonitorState.BAD, customer__partner=demo)
    assert bad
    await World(clock, rate=100).pass_time(250)
    since = {monitor.id: monitor.since for monitor in bad}
    for monitor in await Monitor.filter(id__in=list(since)):
        assert monitor.state != MonitorState.BAD or monitor.since > since[monitor.id]


async def test_who_goes_live_gets_the_monitors_that_fit(demo, clock):
    ready = await Customer.get(name='Willow Clinics')
    world = World(clock, rate=50)
    await world.vendor.population.count(clock())
    await world.connect._move_step(ready)
    assert (await Customer.get(id=ready.id)).listing == Listing.COMPLETE
    await world.pass_time(3)
    states = {m.kind: m.state for m in await Monitor.filter(customer_id=ready.id)}
    assert states[MonitorKind.INBOUND_QUEUE] == states[MonitorKind.JOURNAL_QUEUE] == MonitorState.GOOD
    assert not world.vendor._arriving


async def test_when_too_few_are_in_connect_a_live_customer_comes_back(demo, clock):
    for customer in await Customer.filter(listing=Listing.IN_PROGRESS):
        await Customer.filter(id=customer.id).update(listing=Listing.COMPLETE)
    world = World(clock)
    _, moves = await world.pass_time(120)
    assert moves
    assert await Customer.filter(listing=Listing.IN_PROGRESS).count() > 0
    assert await HistoryEvent.filter(kind='connect.reopened').exists()


async def test_connect_goes_on_in_every_way(demo, clock):
    world = World(clock, rate=40)
    world.connect._budget = Budget(100)
    await world.vendor.population.count(clock())
    moved = 0
    for _ in range(400):
        clock.advance(1)
        moved += await world.connect._move(clock())
    assert moved > 200
    kinds = set(await HistoryEvent.all().values_list('kind', flat=True))
    assert kinds >= {
        'rfi.submitted', 'rfi.complete', 'rfi.error', 'connect.step_in_progress', 'connect.step_complete',
        'connect.step_blocked', 'connect.completed', 'connect.reopened',
    }  # fmt: skip
    assert await Customer.filter(listing=Listing.WAITING).count() >= 2
    counted = world.vendor.population
    assert counted.live == await Customer.filter(listing=Listing.COMPLETE).count()
    assert counted.waiting == await Customer.filter(listing=Listing.WAITING).count()


async def test_of_every_state_a_form_was_in_somebody_stays_and_a_form_that_came_back_says_something(demo, clock):
    async def states() -> set[str]:
        return set(await Rfi.all().values_list('state', flat=True))

    there = await states()
    world = World(clock, rate=40)
    await world.vendor.population.count(clock())
    for _ in range(300):
        clock.advance(1)
        await world.connect._move(clock())
        assert there <= await states()
    back = await Rfi.filter(state__in=[RfiState.SUBMITTED, RfiState.COMPLETE, RfiState.ERROR])
    assert len(back) > 10
    assert not [form.customer_id for form in back if not form.answers]


async def test_steps_do_not_pile_up_when_customers_come_and_go(demo, clock):
    world = World(clock, rate=40)
    await world.vendor.population.count(clock())
    for _ in range(300):
        await world.connect._move(clock())
    customers = await Customer.all().count()
    assert await ConnectStep.all().count() <= customers * 13
    assert len(world.vendor._looks) < 1000


async def test_customers_are_found_across_gaps(db, northwind, clock):
    await make_customers(northwind.partner, 10, seed=1)
    real = [await Customer.add(northwind.partner, name=f'R{n}', account_code=f'R{n}') for n in range(3)]
    high = max(customer.id for customer in real) + 5000
    await Customer.create(
        id=high, partner=northwind.partner, name='Far', name_key='far', initial='f', search_key='far',
        account_code='FAR', account_type='standard', is_simulated=True,
    )  # fmt: skip
    vendor = SimulatedVendor(2.0, clock=clock)
    assert await vendor.size() == 11
    found, cursor = [], 0
    while ids := await vendor.customers(cursor, 4):
        found += ids
        cursor = ids[-1]
    assert len(found) == len(set(found)) == 11
    assert not {customer.id for customer in real} & set(found)


# -- pure -------------------------------------------------------------------------------------------------------------


def test_a_budget_allows_its_rate_and_saves_up_one_second(clock):
    budget = Budget(2)
    assert [budget.take(clock()) for _ in range(3)] == [True, True, False]
    clock.advance(3600)
    assert [budget.take(clock()) for _ in range(3)] == [True, True, False]
    clock.advance(0.5)
    assert [budget.take(clock()) for _ in range(2)] == [True, False]


def test_a_queue_builds_and_drains(clock):
    start = clock()
    trouble = Trouble(
        MonitorState.BAD, start, start + timedelta(seconds=40), start + timedelta(seconds=100), peak=3.0
    )  # fmt: skip
    levels = [trouble.level(start + timedelta(seconds=s)) for s in (0, 20, 40, 70, 100)]
    assert levels == pytest.approx([0.2, 1.6, 3.0, 1.55, 0.1])
    up, top, down, end = trouble.moments()
    assert trouble.level(up) > 1 > trouble.level(down)
    assert (top, end) == (trouble.top, trouble.ends)
