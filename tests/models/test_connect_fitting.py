"""Steps follow what is known of the infrastructure, and what is bought and given up later."""

from datetime import UTC, datetime, timedelta

import pytest

from models import (
    ConnectStep,
    ConnectTemplate,
    Customer,
    CustomerProduct,
    HistoryEvent,
    Infrastructure,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    Product,
    RfiState,
    StepState,
    events,
)
from models.calendar import at, today
from models.connect_board import in_connect
from models.connect_fitting import set_up_products
from models.customer_import import import_customers
from models.events import transaction
from models.looking_after import steps_of


async def _customer(partner, code: str, products=('SEC',), **more) -> Customer:
    return await Customer.add(
        partner, name=code, account_code=code, rfi=RfiState.NOT_APPLICABLE, products=products, **more
    )


async def _steps(customer: Customer) -> dict[str, ConnectStep]:
    return {step.key: step for step in await ConnectStep.filter(customer_id=customer.id).order_by('position')}


async def _live(customer: Customer, by) -> Customer:
    for step in await ConnectStep.filter(customer_id=customer.id, state__not='complete').order_by('position'):
        await ConnectStep.filter(id=step.id).update(state=StepState.COMPLETE, completed_at=datetime.now(UTC))
    await customer.complete_connect(by=by)
    return await Customer.get(id=customer.id)


async def _buys(customer: Customer, *codes: str, had: str | None = None) -> list[str]:
    """Have these products and no others from now on."""
    async with transaction():
        await CustomerProduct.filter(customer_id=customer.id).delete()
        for code in codes:
            product = await Product.get(code=code, partner_id=None)
            await CustomerProduct.create(customer_id=customer.id, product=product, quantity=1, since='2026-01-01')
        return await set_up_products(customer, had=had)


async def test_what_an_order_or_form_says_later_brings_back_what_was_skipped_because_of_it(db, northwind):
    customer = await _customer(northwind.partner, 'A')
    before = list(await _steps(customer))
    platform = {'mail_platform': 'microsoft_365', 'directory': 'none'}
    await Infrastructure.change(customer, platform, was=None, by=northwind.ana)
    steps = await _steps(customer)
    skipped = {key for key, step in steps.items() if step.state == StepState.SKIPPED}
    assert skipped == {'rfi', 'lockdown', 'directory_sync'}
    assert (steps['lockdown'].done_by, steps['lockdown'].done_by_id) == ('Portal', None)
    await steps['recipient_validation'].move('skip', by=northwind.ana, because='Not wanted')
    await Infrastructure.change(customer, {'mail_platform': 'on_premises'}, was=None, by=northwind.ana)
    steps = await _steps(customer)
    lockdown = steps['lockdown']
    assert (lockdown.state, lockdown.reason, lockdown.completed_at) == (StepState.LOCKED, '', None)
    assert lockdown.due_at is not None
    assert steps['recipient_validation'].state == StepState.SKIPPED, 'somebody wanted it so'
    assert steps['directory_sync'].state == StepState.SKIPPED
    assert list(steps) == before
    said = await HistoryEvent.filter(customer_id=customer.id, kind='connect.step_needed').get()
    assert (await said.text()).summary == 'Firewall lock-down: needed again'
    assert (await Customer.get(id=customer.id)).steps_of == sum(
        not step.is_optional and step.state != StepState.SKIPPED for step in steps.values()
    )


async def test_what_a_customer_in_connect_buys_besides_becomes_steps_and_what_it_gives_up_none(db, northwind):
    customer = await _customer(northwind.partner, 'A')
    # Another version, made since: the customer goes on with its own.
    template = await ConnectTemplate.current(northwind.partner)
    edited = [step | {'title': f'New {step["title"]}'} for step in template.steps]
    await ConnectTemplate.edit(northwind.partner, 'default', name='N', steps=edited, was=1, by=northwind.ana)
    steps = await _steps(customer)
    assert 'journaling' not in steps
    await ConnectStep.filter(customer_id=customer.id, key__in=['account_configuration', 'domain_validation']).update(
        state=StepState.COMPLETE
    )
    heard: list[events.Changed] = []
    events.CONNECT_MOVED.subscribe(heard.append)
    assert await _buys(customer, 'SEC', 'ARC') == ['Journaling']
    steps = await _steps(customer)
    journaling = steps['journaling']
    assert (journaling.state, journaling.title, journaling.is_later) == (StepState.TODO, 'Journaling', False)
    assert journaling.due_at == at(northwind.partner, today(northwind.partner) + timedelta(days=21))
    assert [step.position for step in steps.values()] == list(range(1, len(steps) + 1))
    assert list(steps).index('journaling') == list(steps).index('recipient_validation') + 1
    assert 'journaling' in steps['monitoring'].needs
    assert 'journaling' in steps['handover'].needs
    assert len(heard) == 1
    assert await _buys(customer, 'SEC', 'ARC') == [], 'a second time, nothing happens'
    assert len(heard) == 1
    assert await _buys(customer, 'SEC') == []
    journaling = (await _steps(customer))['journaling']
    assert (journaling.state, journaling.reason) == (StepState.SKIPPED, 'Not bought any more')
    assert await _buys(customer, 'SEC', 'ARC') == ['Journaling']
    assert (await _steps(customer))['journaling'].state == StepState.TODO


async def test_what_a_live_customer_buys_is_set_up_while_it_stays_live(db, northwind):
    ana, customer = northwind.ana, await _customer(northwind.partner, 'A')
    customer = await _live(customer, ana)
    assert await in_connect(ana).count() == 0
    assert await _buys(customer, 'SEC', 'ARC') == ['Journaling']
    customer = await Customer.get(id=customer.id)
    assert (customer.listing, customer.connect_status, customer.connect_owner) == (
        Listing.COMPLETE, 'Journaling', 'customer',
    )  # fmt: skip
    assert (customer.steps_done, customer.steps_of) == (customer.steps_of - 1, customer.steps_done + 1)
    assert customer.completed_at is not None
    assert [one.id for one in await in_connect(ana)] == [customer.id], 'the board has it'
    customer.responsible = ana
    await customer.save(update_fields=['responsible_id'])
    assert [step.key for step in await steps_of(ana)] == ['journaling']
    # Nothing of what made it live moves, and Connect as a whole neither rests nor ends.
    steps = await _steps(customer)
    for refused in (
        steps['inbound_email'].move('reopen', by=ana, because='x'), customer.hold('x', by=ana),
        customer.abandon('x', by=ana),
    ):  # fmt: skip
        with pytest.raises(ConnectStep.NotAllowed, match='is complete'):
            await refused
    await steps['journaling'].move('block', by=ana, because='no mailbox')
    assert (await Customer.get(id=customer.id)).blocked_because == 'no mailbox'
    await steps['journaling'].move('complete', by=ana)
    customer = await Customer.get(id=customer.id)
    assert (customer.connect_status, customer.connect_key, customer.connect_owner, customer.blocked_because) == (
        'Complete', 'complete', '', '',
    )  # fmt: skip
    assert await in_connect(ana).count() == 0
    assert (await Monitor.get(customer_id=customer.id, kind=MonitorKind.JOURNAL_QUEUE)).state == MonitorState.UNKNOWN
    await steps['journaling'].move('reopen', by=ana, because='by mistake')
    assert (await Customer.get(id=customer.id)).listing == Listing.COMPLETE
    # Given up, and bought once more: it is to be set up anew.
    await (await _steps(customer))['journaling'].move('complete', by=ana)
    assert await _buys(customer, 'SEC', had='AS') == []
    assert await _buys(customer, 'SEC', 'ARC', had='S') == ['Journaling']
    assert await _buys(customer, 'SEC', had='AS') == []
    assert (await Customer.get(id=customer.id)).connect_owner == ''


@pytest.mark.parametrize('tells', ['the caller', 'what is watched'])
async def test_who_came_to_the_portal_live_is_given_the_steps_of_what_is_new(db, northwind, tells):
    customer = await _customer(northwind.partner, 'A', listing=Listing.COMPLETE)
    assert await _steps(customer) == {}
    if tells == 'what is watched':
        await customer.record_readings({MonitorKind.INBOUND_QUEUE: 1}, at=datetime.now(UTC))
    assert await _buys(customer, 'SEC', 'ARC', had='S' if tells == 'the caller' else None) == ['Journaling']
    [journaling] = (await _steps(customer)).values()
    assert (journaling.state, journaling.needs, journaling.is_later) == (StepState.TODO, [], True)
    assert (await Customer.get(id=customer.id)).steps_of == 1
    closed = await _customer(northwind.partner, 'B')
    await closed.abandon('gone', by=northwind.ana)
    assert await _buys(closed, 'SEC', 'ARC') == []


async def test_the_steps_of_a_customer_in_connect_follow_a_file_and_those_of_a_live_one_do_not(db, northwind):
    going, live = await _customer(northwind.partner, 'A'), await _customer(northwind.partner, 'B')
    await _live(live, northwind.ana)
    await import_customers(northwind.partner, 'name,account_code,products\nA,A,SEC;ARC\nB,B,SEC;ARC\n')
    assert 'journaling' in await _steps(going)
    assert 'journaling' not in await _steps(live)
    await import_customers(northwind.partner, 'name,account_code,products\nA,A,SEC\n')
    assert (await _steps(going))['journaling'].reason == 'Not bought any more'
