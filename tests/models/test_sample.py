from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Customer, Monitor, MonitorKind, MonitorState, Partner, Reading, RfiState, Sample
from models.sample import EVERY, KEPT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a quarter of an hour begins
MINUTE = timedelta(minutes=1)
QUEUE, CONNECTOR = MonitorKind.INBOUND_QUEUE, MonitorKind.JOURNAL_CONNECTOR


async def _customer(partner: Partner) -> Customer:
    code = f'A{await Customer.all().count()}'
    return await Customer.add(partner, name='A', account_code=code, rfi=RfiState.NOT_APPLICABLE)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


async def test_the_first_reading_of_a_quarter_of_an_hour_is_kept(db, northwind):
    customer = await _customer(northwind.partner)
    for minute, value in ((3, 10), (7, 20), (14, 30), (15, 400), (29, 50), (61, 60)):
        at = NOW + minute * MINUTE
        await Monitor.record([Reading(customer.id, QUEUE, at, value=value)], now=at)
    charts = await Sample.chart(customer.id, now=NOW + 62 * MINUTE)
    assert set(charts) == {'inbound_queue'}  # what was never read has no chart
    begin = _seconds(NOW)
    assert charts['inbound_queue'] == {
        'points': [[begin + 180, 10, 'good'], [begin + 900, 400, 'bad'], [begin + 3660, 60, 'good']],
        'flips': [
            [begin + 180, 'not_configured', 'good', 10], [begin + 900, 'good', 'bad', 400],
            [begin + 1740, 'bad', 'good', 50],
        ],
        'last': [begin + 3660, 60, 'good'],
        'threshold': 100,
        'from': begin + 3720 - 48 * 3600,
    }  # fmt: skip
    assert await Sample.all().count() == 3


async def test_readings_of_one_batch_are_kept_as_if_they_had_come_one_by_one(db, northwind):
    customer, other = await _customer(northwind.partner), await _customer(northwind.partner)
    batch = [
        Reading(c.id, kind, NOW + minute * MINUTE, value=minute, state=MonitorState.GOOD)
        for c in (other, customer) for kind in MonitorKind for minute in (31, 1, 16, 2, 30)
    ]  # fmt: skip
    await Monitor.record(batch, now=NOW + 31 * MINUTE)
    charts = await Sample.chart(customer.id, now=NOW + 31 * MINUTE)
    assert set(charts) == set(MonitorKind)
    for chart in charts.values():
        assert [value for _, value, _ in chart['points']] == [1, 16, 30]
        assert chart['last'] == [_seconds(NOW + 31 * MINUTE), 31, 'good']


async def test_a_reading_that_was_known_makes_no_sample(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, QUEUE, NOW + 20 * MINUTE, value=1)], now=NOW + 20 * MINUTE)
    await Monitor.record([Reading(customer.id, QUEUE, NOW + 2 * MINUTE, value=2)], now=NOW + 20 * MINUTE)
    assert [sample.value for sample in await Sample.all()] == [1]


async def test_what_is_newer_stays_in_its_place_of_the_ring(db, northwind):
    from models.events import transaction

    async with transaction() as connection:
        for at, value in ((5 * EVERY, 1.0), (5 * EVERY + KEPT * EVERY, 2.0), (5 * EVERY, 3.0)):
            await Sample.store(connection, [(Sample.id_of(7, at), at, value, 'good')])
    assert [(sample.id, sample.value) for sample in await Sample.all()] == [(7 * KEPT + 5, 2.0)]


async def test_what_is_older_than_two_days_is_not_shown(db, northwind):
    customer = await _customer(northwind.partner)
    await Monitor.record([Reading(customer.id, QUEUE, NOW, value=1)], now=NOW)
    chart = (await Sample.chart(customer.id, now=NOW + timedelta(hours=48, minutes=1)))['inbound_queue']
    assert (chart['points'], chart['flips'], chart['last']) == ([], [], None)
    assert await Sample.chart(customer.id + 1000) == {}


async def test_a_failing_batch_leaves_no_sample(db, northwind, monkeypatch):
    from models import monitor

    async def fail(*_: object) -> None:
        raise RuntimeError('the disk is full')

    customer = await _customer(northwind.partner)
    monkeypatch.setattr(monitor, '_show', fail)
    with pytest.raises(RuntimeError):
        await Monitor.record([Reading(customer.id, QUEUE, NOW, state=MonitorState.BAD)], now=NOW)
    assert not await Sample.exists()


# Minutes to the next reading: mostly a few, now and then a day or three.
_gaps = st.lists(
    st.one_of(st.integers(1, 40), st.integers(100, 1000), st.sampled_from([2879, 2880, 2881, 5760])),
    min_size=1, max_size=40,
)  # fmt: skip


@given(gaps=_gaps)
@settings(max_examples=40)
async def test_the_ring_shows_what_a_list_of_all_readings_would(sqlite_db, make_northwind, gaps):
    await _walk(make_northwind, gaps)


@given(gaps=_gaps)
@settings(max_examples=10)
@pytest.mark.postgres
async def test_the_ring_is_a_ring_on_postgresql_too(postgres_db, make_northwind, gaps):
    await _walk(make_northwind, gaps)


async def _walk(make_northwind, gaps: list[int]) -> None:
    customer = await _customer(await Partner.first() or (await make_northwind()).partner)
    at, first_of_slot = NOW, {}
    for n, gap in enumerate(gaps):
        at += gap * MINUTE
        kinds = (QUEUE, CONNECTOR) if n % 2 else (QUEUE,)
        await Monitor.record(
            [Reading(customer.id, kind, at, value=n, state=MonitorState.GOOD) for kind in kinds], now=at
        )
        for kind in kinds:
            first_of_slot.setdefault((kind.value, _seconds(at) // EVERY), [_seconds(at), n, 'good'])
    until = _seconds(at)
    charts = await Sample.chart(customer.id, now=at)
    for kind in charts:
        slots = {slot for of, slot in first_of_slot if of == kind}
        # Of the quarter in which the 48 hours begin, nothing is left once this quarter has been read.
        shown = [
            first_of_slot[kind, slot]
            for slot in sorted(slots)
            if first_of_slot[kind, slot][0] >= until - EVERY * KEPT and slot + KEPT not in slots
        ]
        assert charts[kind]['points'] == shown
    monitors = await Monitor.filter(customer_id=customer.id, read_at__isnull=False).count()
    assert len(charts) == monitors
    ids = [m.id for m in await Monitor.filter(customer_id=customer.id)]
    assert await Sample.filter(id__gte=min(ids) * KEPT, id__lt=(max(ids) + 1) * KEPT).count() <= monitors * KEPT
