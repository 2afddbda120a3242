from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import Customer, Flip, Listing, Monitor, MonitorKind, MonitorState, Partner, Reading, RfiState, overview
from models.overview import Overview, trends

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INBOUND, OUTBOUND, JOURNAL, CONNECTOR, DIRECTORY = MonitorKind
GOOD, BAD = MonitorState.GOOD, MonitorState.BAD


async def _add(partner: Partner, name: str, **facts: Any) -> Customer:
    code = f'C{await Customer.all().count() + 1:05}'
    return await Customer.add(partner, name=name, account_code=code, rfi=RfiState.NOT_APPLICABLE, **facts)


async def _read(customer: Customer, at: datetime, *kinds: MonitorKind, state: MonitorState = BAD) -> None:
    await customer.record_readings(dict.fromkeys(kinds, state), at=at)


async def _shown(customers: Any) -> list[tuple[str, str]]:
    return [(line['name'], line['kind']) for line in (await Overview.of(customers)).worst]


async def test_the_lines_of_a_customer_stay_together_and_those_with_most_come_first(db, northwind, monkeypatch):
    monkeypatch.setattr(overview, 'WORST', 5)
    now = datetime.now(UTC)
    one, two, three, four = [await _add(northwind.partner, name) for name in ('One', 'Two', 'Three', 'Four')]
    await _read(one, now - 9 * HOUR / 20, INBOUND)
    await _read(two, now - 8 * HOUR / 20, INBOUND)
    await _read(three, now - 7 * HOUR / 20, OUTBOUND)
    await _read(two, now - 6 * HOUR / 20, JOURNAL)
    await _read(three, now - 5 * HOUR / 20, DIRECTORY)
    await _read(four, now - 4 * HOUR / 20, INBOUND, OUTBOUND, JOURNAL)
    await _read(four, now - 3 * HOUR / 20, CONNECTOR, state=GOOD)
    customers = Customer.visible_to(northwind.ana)
    found = await Overview.of(customers)
    assert [line['name'] for line in found.worst] == ['Four', 'Four', 'Four', 'Two', 'Two']
    assert (found.worst_more, found.bad, found.monitored) == (3, 4, 4)
    monkeypatch.setattr(overview, 'WORST', 40)
    two_and_three = [('Two', INBOUND), ('Two', JOURNAL), ('Three', OUTBOUND), ('Three', DIRECTORY)]
    assert (await _shown(customers))[3:] == [*two_and_three, ('One', INBOUND)]


async def test_the_worst_customer_is_never_left_out_for_others_that_are_bad_longer(db, northwind, monkeypatch):
    monkeypatch.setattr(overview, 'WORST', 3)
    now = datetime.now(UTC)
    for n in range(8):
        await _read(await _add(northwind.partner, f'Long {n}'), now - HOUR / 2, INBOUND)
    worst = await _add(northwind.partner, 'Worst')
    await _read(worst, now - HOUR / 60, INBOUND, OUTBOUND)
    assert [name for name, _ in await _shown(Customer.visible_to(northwind.ana))] == ['Worst', 'Worst', 'Long 0']


async def test_customers_of_whom_nothing_was_read_lately_come_last(db, northwind):
    now = datetime.now(UTC)
    silent, partly, fresh = [await _add(northwind.partner, name) for name in ('Silent', 'Partly', 'Fresh')]
    await _read(silent, now - 2 * HOUR, INBOUND, OUTBOUND, JOURNAL)
    await _read(partly, now - 2 * HOUR, INBOUND)
    await _read(partly, now - HOUR / 2, OUTBOUND)
    await _read(fresh, now - HOUR / 3, INBOUND)
    expected = ['Partly', 'Partly', 'Fresh', 'Silent', 'Silent', 'Silent']
    assert [name for name, _ in await _shown(Customer.visible_to(northwind.ana))] == expected


async def test_all_who_are_stuck_are_counted_though_some_are_shown(db, northwind, monkeypatch):
    monkeypatch.setattr(overview, 'STUCK', 2)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    for n in range(7):
        slow = await _add(northwind.partner, f'Slow {n}')
        await Customer.filter(id=slow.id).update(connect_since=long_ago + n * HOUR)
    for n in range(6):
        blocked = await _add(northwind.partner, f'Blocked {n}')
        await Customer.filter(id=blocked.id).update(blocked_because='Waiting', connect_since=long_ago + n * HOUR)
    await _add(northwind.partner, 'Moving')
    live = await _add(northwind.partner, 'Live', listing=Listing.COMPLETE)
    await Customer.filter(id=live.id).update(connect_since=long_ago)
    found = await Overview.of(Customer.visible_to(northwind.ana))
    assert [line['name'] for line in found.stuck] == ['Blocked 0', 'Blocked 1']
    assert found.stuck_more == 11


async def test_a_customer_without_a_signal_is_not_among_those_that_are_monitored(db, northwind):
    for name in ('Acme', 'Best'):
        await _add(northwind.partner, name, listing=Listing.COMPLETE)
    watched = await _add(northwind.partner, 'Watched')
    await _read(watched, datetime.now(UTC) - HOUR / 4, INBOUND, state=GOOD)
    found = await Overview.of(Customer.visible_to(northwind.ana))
    assert (found.total, found.monitored, found.bad) == (3, 1, 0)


@pytest.fixture
def at_noon(monkeypatch) -> datetime:
    """The trends are asked for at half past twelve."""
    now = NOW + HOUR / 2

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return now

    monkeypatch.setattr(overview, 'datetime', Clock)
    return now


async def test_the_trend_counts_customers_with_a_problem_and_not_their_signals(db, northwind, at_noon):
    acme, best = await _add(northwind.partner, 'Acme'), await _add(northwind.partner, 'Best')

    async def flip(customer: Customer, at: datetime, kind: MonitorKind, old: MonitorState, new: MonitorState) -> None:
        await Flip.create(customer=customer, kind=kind, old=old, new=new, at=at)

    # Acme: two signals bad from nine to eleven, one of them from eight on. Best: bad from eleven, and still.
    await flip(acme, NOW - 4 * HOUR, INBOUND, GOOD, BAD)
    await flip(acme, NOW - 3 * HOUR, OUTBOUND, MonitorState.UNKNOWN, BAD)
    await flip(acme, NOW - 2 * HOUR, INBOUND, BAD, GOOD)
    await flip(acme, NOW - HOUR, OUTBOUND, BAD, GOOD)
    await flip(acme, NOW - HOUR, JOURNAL, GOOD, MonitorState.UNKNOWN)
    await _read(best, NOW - HOUR, INBOUND, OUTBOUND)
    found = await trends(Customer.visible_to(northwind.ana))
    assert found['bad'][-6:] == [0, 1, 1, 1, 1, 1]
    assert found['bad'][:-5] == [0] * 19
    assert (await trends(Customer.visible_to(northwind.tom)))['bad'] == [0] * 24


async def test_a_trend_counts_who_left_until_the_day_they_left(db, northwind):
    now = datetime.now(UTC)
    for name, came, went in (('Here', 20, None), ('Left', 10, 4)):
        customer = await _add(northwind.partner, name, seats=50)
        gone = {'listing': Listing.CLOSED, 'closed_at': now - timedelta(days=went)} if went else {}
        await Customer.filter(id=customer.id).update(
            created_at=now - timedelta(days=came), completed_at=now - timedelta(days=came - 2), **gone
        )
    found = await trends(Customer.visible_to(northwind.ana))
    assert found['total'] == [0] * 9 + [1] * 10 + [2] * 6 + [1] * 5
    assert found['seats'] == [50 * n for n in found['total']]
    assert found['in_connect'] == [0] * 9 + [1, 1] + [0] * 8 + [1, 1] + [0] * 9


async def test_among_equals_a_queue_far_over_its_threshold_comes_first_and_small_changes_move_nothing(db, northwind):
    now = datetime.now(UTC)
    for n, times in enumerate((1.1, 12.0, 1.3, 3.0)):
        customer = await _add(northwind.partner, f'{times} times', seats=250)
        reading = Reading(customer.id, INBOUND, now - HOUR / 2 + timedelta(minutes=n), value=100 * times)
        await Monitor.record([reading])
    shown = await _shown(Customer.visible_to(northwind.ana))
    assert [name for name, _ in shown] == ['12.0 times', '3.0 times', '1.1 times', '1.3 times']
