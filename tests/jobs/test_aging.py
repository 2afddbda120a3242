from datetime import timedelta

from jobs.aging import age_readings
from models import Customer, Health, Monitor, MonitorKind, MonitorState, events


async def test_what_is_too_old_is_marked_and_told_once(db, northwind, clock):
    customer = await Customer.add(northwind.partner, name='A', account_code='A1')
    at = clock() - timedelta(minutes=44)
    await customer.record_readings({MonitorKind.INBOUND_QUEUE: 1, MonitorKind.OUTBOUND_QUEUE: 999}, at=at)
    assert await age_readings() == 0
    await Monitor.filter(kind=MonitorKind.OUTBOUND_QUEUE).update(old_at=int(clock().timestamp()) - 1)
    told = []
    events.MONITORS_FLIPPED.subscribe(told.append)
    assert await age_readings() == 1
    assert await age_readings() == 0
    assert [changed.rows for changed in told] == [{customer.id: frozenset({'outbound_queue', 'worst'})}]
    fresh = await Customer.get(id=customer.id)
    assert (fresh.outbound_queue, fresh.worst, fresh.inbound_queue) == (Health.BAD_OLD, Health.BAD_OLD, Health.GOOD)


async def test_more_than_one_batch_is_aged(db, northwind, clock, monkeypatch):
    for n in range(5):
        customer = await Customer.add(northwind.partner, name=f'A{n}', account_code=f'A{n}')
        await customer.record_readings(
            dict.fromkeys(MonitorKind, MonitorState.GOOD), at=clock() - timedelta(minutes=44)
        )
    await Monitor.all().update(old_at=1)
    age = Monitor.age
    monkeypatch.setattr(Monitor, 'age', lambda: age(limit=4))
    assert await age_readings() == 25
