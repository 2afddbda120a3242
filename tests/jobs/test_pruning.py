from datetime import timedelta

from jobs.pruning import SIMULATED_EVENTS_KEPT, Pruning
from models import (
    Customer,
    Flip,
    HistoryEvent,
    HistoryText,
    Message,
    MessageState,
    MonitorKind,
    MonitorState,
    Session,
    history_reading,
)
from models.demo import make_customers
from models.events import transaction
from models.history import Entry, append_many
from models.history_verifying import verify


async def _flip(customer: Customer, at) -> Flip:
    return await Flip.create(
        customer=customer, kind=MonitorKind.INBOUND_QUEUE, old=MonitorState.GOOD, new=MonitorState.BAD, at=at
    )


async def test_old_flips_and_sessions_go(db, northwind, clock):
    now = clock()
    customer = await Customer.add(northwind.partner, name='A', account_code='A1')
    old, young = await _flip(customer, now - timedelta(days=91)), await _flip(customer, now - timedelta(days=89))
    ended, _ = await Session.open(northwind.ana, lasts=timedelta(days=-31), address='', agent='')
    running, _ = await Session.open(northwind.ana, lasts=timedelta(hours=1), address='', agent='')
    assert await Pruning(clock).prune() == 2
    assert list(await Flip.all().values_list('id', flat=True)) == [young.id]
    assert old.id != young.id
    assert list(await Session.all().values_list('id', flat=True)) == [running.id]
    assert ended.id != running.id


async def test_what_the_simulated_vendor_left_is_bounded_and_a_real_history_stays(db, northwind, clock):
    now = clock()
    await make_customers(northwind.partner, 2, seed=1)
    simulated = await Customer.all().first()
    assert simulated is not None
    real = await Customer.add(northwind.partner, name='Real', account_code='R1')
    before = await HistoryEvent.filter(customer_id=real.id).count()
    for customer in (simulated, real):
        await _flip(customer, now - timedelta(days=8))
        async with transaction() as connection:
            await append_many(connection, [
                Entry(northwind.partner.id, customer.id, 'connect.step_complete', now - timedelta(minutes=n), f'{n}')
                for n in reversed(range(SIMULATED_EVENTS_KEPT + 20))
            ])  # fmt: skip
    made = await HistoryEvent.filter(customer_id=simulated.id).count()
    assert await Pruning(clock).prune() == made - SIMULATED_EVENTS_KEPT + 1
    kept, _ = await history_reading.page(simulated.id, group='all', limit=1000)
    kept = [entry['summary'] for entry in kept if not entry['flip']]
    assert kept == [f'{n}' for n in range(SIMULATED_EVENTS_KEPT)]
    assert await HistoryText.all().count() == await HistoryEvent.all().count()
    assert await verify() == []
    assert await Pruning(clock).prune() == 0
    assert await HistoryEvent.filter(customer_id=real.id).count() == before + SIMULATED_EVENTS_KEPT + 20
    assert list(await Flip.all().values_list('customer_id', flat=True)) == [real.id]


async def test_messages_go_after_ninety_days_but_not_one_that_waits(sqlite_db, northwind, clock):
    made = [
        await Message.create(
            partner=northwind.partner, key=f'key {n}', kind='test', recipient='ivo@x.example', subject='S', state=state,
            due_at=clock(),
        )
        for n, state in enumerate((MessageState.SENT, MessageState.FAILED, MessageState.WAITING, MessageState.SENT))
    ]  # fmt: skip
    await Message.filter(id__in=[message.id for message in made[:3]]).update(created_at=clock() - timedelta(days=91))
    assert await Pruning(clock).prune() == 2
    assert await Message.all().order_by('id').values_list('id', flat=True) == [made[2].id, made[3].id]
