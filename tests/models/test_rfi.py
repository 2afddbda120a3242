import asyncio
from datetime import datetime

import pytest

from models import ConnectStep, Customer, HistoryEvent, Listing, Rfi, RfiIcon, RfiState, events
from models.rfi import MOVES

CASES = [(verb, state) for verb in MOVES for state in RfiState]


async def _rfi(partner, state: RfiState = RfiState.REQUESTED) -> tuple[Customer, Rfi]:
    customer = await Customer.add(partner, name='A', account_code='A', rfi=state)
    return customer, await Rfi.get(customer_id=customer.id)


async def test_every_move_is_made_from_the_states_of_the_table_and_from_no_other(db, northwind):
    _, rfi = await _rfi(northwind.partner)
    for verb, state in CASES:
        allowed, leads_to = MOVES[verb]
        await Rfi.filter(id=rfi.id).update(state=state)
        history = await HistoryEvent.all().count()
        if state in allowed:
            await rfi.move(verb)
            assert (await Rfi.get(id=rfi.id)).state == leads_to, (verb, state)
            assert (await Customer.get(id=rfi.customer_id)).rfi == leads_to.icon
            assert await HistoryEvent.all().count() == history + 1
        else:
            with pytest.raises(Rfi.NotReady):
                await rfi.move(verb)
            assert (await Rfi.get(id=rfi.id)).state == state, (verb, state)
            assert await HistoryEvent.all().count() == history


async def test_the_first_time_it_is_sent_back_the_customer_is_listed(db, northwind):
    customer, rfi = await _rfi(northwind.partner)
    assert (await Customer.get(id=customer.id)).listing == Listing.WAITING
    heard: list[events.Changed] = []
    events.RFI_MOVED.subscribe(heard.append)
    await rfi.move('save_draft')
    assert heard[-1].joined == frozenset()
    await rfi.move('submit')
    assert heard[-1].joined == frozenset({customer.id})
    assert {'rfi', 'listing'} <= heard[-1].rows[customer.id]
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.connect_status) == (Listing.IN_PROGRESS, 'RFI received')
    assert (await Rfi.get(id=rfi.id)).returned_at is not None


async def test_an_rfi_in_error_leaves_the_customer_listed(db, northwind):
    customer, rfi = await _rfi(northwind.partner)
    await rfi.move('submit')
    await rfi.move('find_errors', errors=[{'field': 'domain', 'message': 'is not yours'}])
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.rfi) == (Listing.IN_PROGRESS, RfiIcon.ERROR)
    assert (await Rfi.get(id=rfi.id)).errors == [{'field': 'domain', 'message': 'is not yours'}]
    await rfi.move('save_draft')
    assert (await Customer.get(id=customer.id)).listing == Listing.IN_PROGRESS
    assert (await Rfi.get(id=rfi.id)).errors == []


async def test_of_two_who_send_it_back_at_once_one_wins(db, northwind):
    _, rfi = await _rfi(northwind.partner)
    heard: list[events.Changed] = []
    events.RFI_MOVED.subscribe(heard.append)
    copies = [await Rfi.get(id=rfi.id) for _ in range(4)]
    results = await asyncio.gather(*(copy.move('submit') for copy in copies), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, Rfi.NotReady) for result in results)
    assert len(heard) == 1
    assert await HistoryEvent.filter(kind='rfi.submitted').count() == 1


async def test_when_the_form_comes_back_the_steps_are_planned_one_after_the_other(db, northwind):
    customer, rfi = await _rfi(northwind.partner)

    async def due() -> dict[str, datetime | None]:
        steps = await ConnectStep.filter(customer_id=customer.id).order_by('position')
        return {step.key: step.due_at for step in steps if not step.is_optional}

    before = await due()
    assert [key for key, at in before.items() if at] == ['rfi']
    await rfi.move('submit')
    planned = await due()
    assert planned['rfi'] == before['rfi'], 'what was promised stays'
    rest = [at for key, at in planned.items() if key != 'rfi']
    assert all(rest)
    assert rest == sorted(rest)
    assert len(set(rest)) == len(rest)
    assert not await ConnectStep.filter(customer_id=customer.id, is_optional=True, due_at__not_isnull=True).exists()
    await rfi.move('find_errors', errors=[{'field': 'x', 'message': 'is wrong'}])
    await rfi.move('submit')
    assert await due() == planned
