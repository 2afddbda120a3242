import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    Customer,
    Flip,
    Health,
    Monitor,
    MonitorKind,
    MonitorState,
    Partner,
    Reading,
    RfiState,
    events,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUEUE, CONNECTOR = MonitorKind.INBOUND_QUEUE, MonitorKind.JOURNAL_CONNECTOR
GOOD, BAD, UNKNOWN, OFF = MonitorState.GOOD, MonitorState.BAD, MonitorState.UNKNOWN, MonitorState.NOT_CONFIGURED


async def _customer(partner: Partner, code: str = 'A', seats: int = 100) -> Customer:
    return await Customer.add(partner, name=code, account_code=code, seats=seats, rfi=RfiState.NOT_APPLICABLE)


def _listen() -> list[events.Changed]:
    heard: list[events.Changed] = []
    events.MONITORS_FLIPPED.subscribe(heard.append)
    return heard


async def _monitor(customer: Customer, kind: MonitorKind = QUEUE) -> Monitor:
    return await Monitor.get(customer_id=customer.id, kind=kind)


async def assert_icons_agree(customer_id: int) -> None:
    """The icons that lists sort by are what the monitors say."""
    customer = await Customer.get(id=customer_id)
    shown = {m.kind.value: Health.of(m.state, is_old=m.is_old) for m in await Monitor.filter(customer_id=customer_id)}
    assert {kind: getattr(customer, kind) for kind in shown} == shown
    assert customer.worst == min(shown.values())


@pytest.mark.parametrize(
    ('value', 'state', 'threshold', 'judged'),
    [
        (None, None, 100.0, UNKNOWN), (0, None, 100.0, GOOD), (100, None, 100.0, GOOD), (100.1, None, 100.0, BAD),
        (10**9, None, None, UNKNOWN), (10**9, GOOD, 100.0, GOOD), (0, BAD, 100.0, BAD), (None, OFF, None, OFF),
        (5, UNKNOWN, 1.0, UNKNOWN),
    ],
)  # fmt: skip
def test_a_state_that_was_told_goes_before_what_the_value_says(value, state, threshold, judged):
    assert Monitor.judge(Reading(1, QUEUE, NOW, value=value, state=state), threshold) == judged


def test_thresholds_grow_with_the_customer_and_connectors_have_none():
    assert Monitor.default_threshold(QUEUE, 10) == 100
    assert Monitor.default_threshold(QUEUE, 2500) == 1000
    assert Monitor.default_threshold(MonitorKind.JOURNAL_QUEUE, 0) == 1000
    assert Monitor.default_threshold(CONNECTOR, 2500) is None


def test_the_order_of_severity_is_that_of_the_lists():
    assert sorted(Health) == [
        Health.BAD, Health.BAD_OLD, Health.UNKNOWN, Health.GOOD_OLD, Health.GOOD, Health.NOT_CONFIGURED,
    ]  # fmt: skip


async def test_a_reading_sets_state_value_and_icon_and_is_told(db, northwind):
    customer = await _customer(northwind.partner)
    heard = _listen()
    result = await Monitor.record([Reading(customer.id, QUEUE, NOW, value=500, reason='a burst')], now=NOW)
    assert (result.stored, result.repeated, result.flips) == (1, 0, 1)
    monitor = await _monitor(customer)
    assert (monitor.state, monitor.value, monitor.reason) == (BAD, 500, 'a burst')
    assert (monitor.read_at, monitor.since, monitor.is_old) == (NOW, NOW, False)
    flip = await Flip.get()
    assert (flip.old, flip.new, flip.value, flip.at) == (OFF, BAD, 500, NOW)
    stored = await Customer.get(id=customer.id)
    assert (stored.inbound_queue, stored.worst) == (Health.BAD, Health.BAD)
    assert heard == [events.Changed(northwind.partner.id, {customer.id: frozenset({'inbound_queue', 'worst'})})]


async def test_a_reading_that_leaves_the_icon_as_it_was_is_stored_and_not_told(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, QUEUE, NOW, value=5)], now=NOW)
    heard = _listen()
    result = await Monitor.record([Reading(customer.id, QUEUE, NOW + MINUTE, value=6)], now=NOW + MINUTE)
    assert (result.stored, result.flips) == (1, 0)
    monitor = await _monitor(customer)
    assert (monitor.value, monitor.since, monitor.read_at) == (6, NOW, NOW + MINUTE)
    assert heard == []


async def test_a_repeated_batch_changes_nothing(db, northwind):
    customer = await _customer(northwind.partner)
    batch = [Reading(customer.id, kind, NOW, state=BAD) for kind in MonitorKind]
    first = await Monitor.record(batch, now=NOW)
    assert (first.stored, first.flips) == (5, 5)
    before = [dict(row) for row in await Monitor.all().order_by('id')]
    heard = _listen()
    again = await Monitor.record(batch, now=NOW)
    assert (again.stored, again.repeated, again.flips) == (0, 5, 0)
    assert [dict(row) for row in await Monitor.all().order_by('id')] == before
    assert await Flip.all().count() == 5
    assert heard == []


async def test_every_reading_that_is_stored_is_told_even_where_no_icon_changes(db, northwind, fabrikam):
    ours, theirs = await _customer(northwind.partner), await _customer(fabrikam.partner)
    heard: list[frozenset[int]] = []
    events.READINGS_STORED.subscribe(heard.append)
    batch = [Reading(customer.id, kind, NOW, state=GOOD) for customer in (ours, theirs) for kind in MonitorKind]
    await Monitor.record(batch, now=NOW)
    await Monitor.record([Reading(ours.id, QUEUE, NOW + MINUTE, value=5)], now=NOW + MINUTE)
    await Monitor.record([*batch, Reading(987654, QUEUE, NOW, value=1)], now=NOW)
    assert heard == [frozenset({ours.id, theirs.id}), frozenset({ours.id})]


async def test_readings_are_taken_in_the_order_of_their_time(db, northwind):
    customer = await _customer(northwind.partner)
    batch = [
        Reading(customer.id, QUEUE, NOW + 2 * MINUTE, state=GOOD),
        Reading(customer.id, QUEUE, NOW, state=GOOD),
        Reading(customer.id, QUEUE, NOW + MINUTE, state=BAD),
    ]
    assert (await Monitor.record(batch, now=NOW)).flips == 3
    assert [flip.new for flip in await Flip.all().order_by('id')] == [GOOD, BAD, GOOD]
    late = await Monitor.record([Reading(customer.id, QUEUE, NOW + MINUTE, state=BAD)], now=NOW)
    assert (late.stored, late.repeated) == (0, 1)
    assert (await _monitor(customer)).state == GOOD


async def test_readings_of_nobody_are_left_out(db, northwind):
    result = await Monitor.record([Reading(987654, QUEUE, NOW, value=1)], now=NOW)
    assert (result.stored, result.repeated, result.flips) == (0, 0, 0)
    assert (await Monitor.record([], now=NOW)).stored == 0


async def test_one_batch_may_be_of_several_msps_and_each_hears_of_its_own(db, northwind, fabrikam):
    ours, theirs = await _customer(northwind.partner), await _customer(fabrikam.partner)
    heard = _listen()
    await Monitor.record([Reading(c.id, QUEUE, NOW, state=BAD) for c in (ours, theirs)], now=NOW)
    assert {(changed.partner_id, *changed.rows) for changed in heard} == {
        (northwind.partner.id, ours.id), (fabrikam.partner.id, theirs.id),
    }  # fmt: skip


async def test_only_the_icons_that_changed_are_told(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, kind, NOW, state=GOOD) for kind in MonitorKind], now=NOW)
    heard = _listen()
    later = [Reading(customer.id, kind, NOW + MINUTE, state=GOOD) for kind in MonitorKind]
    later[3] = Reading(customer.id, CONNECTOR, NOW + MINUTE, state=BAD)
    await Monitor.record(later, now=NOW + MINUTE)
    assert heard == [events.Changed(northwind.partner.id, {customer.id: frozenset({'journal_connector', 'worst'})})]


async def test_a_reading_becomes_old_and_a_new_one_freshens_it(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record(
        [Reading(customer.id, QUEUE, NOW, state=GOOD), Reading(customer.id, CONNECTOR, NOW, state=BAD)], now=NOW
    )
    assert await Monitor.age(now=NOW + 44 * MINUTE) == 0
    heard = _listen()
    assert await Monitor.age(now=NOW + 45 * MINUTE) == 2
    assert await Monitor.age(now=NOW + 46 * MINUTE) == 0
    stored = await Customer.get(id=customer.id)
    assert (stored.inbound_queue, stored.journal_connector) == (Health.GOOD_OLD, Health.BAD_OLD)
    assert heard == [
        events.Changed(northwind.partner.id, {customer.id: frozenset({'inbound_queue', 'journal_connector', 'worst'})})
    ]
    flips = await Flip.all().count()
    fresh = NOW + 50 * MINUTE
    await Monitor.record([Reading(customer.id, CONNECTOR, fresh, state=BAD)], now=fresh)
    assert heard[-1].rows == {customer.id: frozenset({'journal_connector', 'worst'})}
    assert (await Customer.get(id=customer.id)).journal_connector == Health.BAD
    assert await Flip.all().count() == flips  # bad as before: no flip
    await assert_icons_agree(customer.id)


async def test_a_monitor_that_is_read_seldom_is_old_later(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.filter(customer_id=customer.id, kind=QUEUE).update(expected_every=7200)
    await Monitor.record([Reading(customer.id, QUEUE, NOW, state=GOOD)], now=NOW)
    assert await Monitor.age(now=NOW + 60 * MINUTE) == 0
    assert await Monitor.age(now=NOW + 120 * MINUTE) == 1


async def test_a_reading_from_long_ago_is_old_at_once(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, QUEUE, NOW - 60 * MINUTE, state=GOOD)], now=NOW)
    assert (await Customer.get(id=customer.id)).inbound_queue == Health.GOOD_OLD


@pytest.mark.parametrize('state', [UNKNOWN, OFF])
async def test_what_is_unknown_or_not_configured_never_becomes_old(db, northwind, state):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, QUEUE, NOW, state=state)], now=NOW)
    assert await Monitor.age(now=NOW + timedelta(days=2)) == 0
    await assert_icons_agree(customer.id)


async def test_a_failing_batch_leaves_nothing_half_written(db, northwind, monkeypatch):
    from models import monitor

    async def fail(*_: object) -> None:
        raise RuntimeError('the disk is full')

    customer = await _customer(northwind.partner)
    heard = _listen()
    stored: list[frozenset[int]] = []
    events.READINGS_STORED.subscribe(stored.append)
    monkeypatch.setattr(monitor, '_show', fail)
    with pytest.raises(RuntimeError):
        await Monitor.record([Reading(customer.id, QUEUE, NOW, state=BAD)], now=NOW)
    assert (await _monitor(customer)).state == OFF
    assert await Flip.all().count() == 0
    assert heard == []
    assert stored == []


async def test_batches_at_the_same_time_leave_icons_that_agree(db, northwind):
    customers = [await _customer(northwind.partner, f'C{n}') for n in range(4)]

    async def post(n: int) -> None:
        state = (GOOD, BAD, UNKNOWN)[n % 3]
        at = NOW + n * timedelta(seconds=1)
        await Monitor.record([Reading(c.id, kind, at, state=state) for c in customers for kind in MonitorKind], now=NOW)

    await asyncio.gather(*(post(n) for n in range(6)))
    for customer in customers:
        assert (await _monitor(customer)).read_at == NOW + 5 * timedelta(seconds=1)
        await assert_icons_agree(customer.id)


async def test_a_customer_takes_its_own_readings(db, northwind):
    customer = await _customer(northwind.partner)
    assert await customer.record_readings({QUEUE: 5000, CONNECTOR: GOOD}, at=NOW) == 2
    assert (await _monitor(customer)).state == BAD


async def test_old_flips_are_forgotten(db, northwind):
    customer = await _customer(northwind.partner)
    for n in range(4):
        at = NOW + n * MINUTE
        await Monitor.record([Reading(customer.id, QUEUE, at, state=(GOOD, BAD)[n % 2])], now=at)
    assert await Flip.prune(NOW + 2 * MINUTE) == 2
    assert await Flip.all().count() == 2
    assert await Flip.prune(NOW) == 0


step = st.one_of(
    st.tuples(
        st.just('read'),
        st.sampled_from(list(MonitorKind)),
        st.integers(-90, 90),
        st.one_of(st.none(), st.integers(0, 300)),
        st.one_of(st.none(), st.sampled_from(list(MonitorState))),
    ),
    st.tuples(st.just('age'), st.integers(0, 120)),
)


@given(walk=st.lists(step, min_size=3, max_size=15))
@settings(max_examples=15)
async def test_whatever_is_read_in_whatever_order_icons_and_monitors_agree(sqlite_db, make_northwind, walk):
    await _walk(make_northwind, walk)


@given(walk=st.lists(step, min_size=3, max_size=12))
@settings(max_examples=6)
@pytest.mark.postgres
async def test_icons_and_monitors_agree_on_postgresql_too(postgres_db, make_northwind, walk):
    await _walk(make_northwind, walk)


async def _walk(make_northwind, walk) -> None:
    partner = await Partner.first() or (await make_northwind()).partner
    customer = await _customer(partner, f'W{await Customer.all().count()}')
    now = NOW
    heard = _listen()
    for kind, *what in walk:
        heard.clear()
        before = await Customer.get(id=customer.id)
        if kind == 'age':
            now += what[0] * MINUTE
            await Monitor.age(now=now)
        else:
            monitor, minutes, value, state = what
            at = now + minutes * MINUTE
            await Monitor.record([Reading(customer.id, monitor, at, value=value, state=state)], now=now)
        await assert_icons_agree(customer.id)
        after = await Customer.get(id=customer.id)
        icons = {k.value for k in MonitorKind}
        changed = {name for name in icons if getattr(before, name) != getattr(after, name)}
        told = {name for each in heard for name in each.rows.get(customer.id, ())} & icons
        assert told == changed
