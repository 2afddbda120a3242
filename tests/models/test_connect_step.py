import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    ConnectStep,
    Customer,
    HistoryEvent,
    Listing,
    Partner,
    PortalRole,
    RfiState,
    StepOwner,
    StepState,
    events,
)
from models.connect_step import BY_KEY, MOVES, TEMPLATES
from models.rights import Refused

NEEDS_A_REASON = ('block', 'skip', 'reopen')
DONE = (StepState.COMPLETE, StepState.SKIPPED)


async def _customer(partner, code: str = 'A', **more) -> Customer:
    return await Customer.add(partner, name='A', account_code=code, rfi=RfiState.NOT_APPLICABLE, **more)


async def _steps(customer: Customer) -> dict[str, ConnectStep]:
    return {step.key: step for step in await ConnectStep.filter(customer_id=customer.id)}


async def test_every_move_is_made_from_the_states_of_the_table_and_from_no_other(db, northwind):
    customer = await _customer(northwind.partner)
    step = (await _steps(customer))['account_configuration']
    for verb, (allowed, leads_to) in MOVES.items():
        for state in StepState:
            await ConnectStep.filter(id=step.id).update(state=state)
            history = await HistoryEvent.all().count()
            if state in allowed:
                await step.move(verb, because='why', by=northwind.ana)
                fresh = await ConnectStep.get(id=step.id)
                assert fresh.state == leads_to, (verb, state)
                assert (fresh.completed_at is not None) == (leads_to in DONE)
                assert (fresh.reason == 'why') == (verb in ('block', 'skip'))
                assert await HistoryEvent.all().count() == history + 1
            else:
                with pytest.raises(ConnectStep.NotAllowed):
                    await step.move(verb, because='why')
                assert (await ConnectStep.get(id=step.id)).state == state, (verb, state)
                assert await HistoryEvent.all().count() == history


@pytest.mark.parametrize('verb', NEEDS_A_REASON)
async def test_what_stops_or_undoes_a_step_says_why(sqlite_db, northwind, verb):
    step = (await _steps(await _customer(northwind.partner)))['account_configuration']
    with pytest.raises(ConnectStep.NotAllowed, match='say why'):
        await step.move(verb, because='  ')


async def test_a_step_unlocks_when_all_that_it_needs_is_done(db, northwind):
    customer = await _customer(northwind.partner)
    steps = await _steps(customer)
    for key in ('account_configuration', 'domain_validation'):
        await steps[key].move('complete')
    steps = await _steps(customer)
    assert steps['outbound_email'].state == StepState.TODO
    assert steps['inbound_email'].state == StepState.LOCKED
    await steps['recipient_validation'].move('complete')
    assert (await _steps(customer))['inbound_email'].state == StepState.LOCKED
    await steps['outbound_email'].move('skip', because='sends elsewhere')
    assert (await _steps(customer))['inbound_email'].state == StepState.TODO


async def test_reopening_locks_what_had_not_begun(db, northwind):
    customer = await _customer(northwind.partner)
    steps = await _steps(customer)
    await steps['account_configuration'].move('complete')
    await steps['directory_sync'].move('start')
    await steps['account_configuration'].move('reopen', because='wrong region')
    fresh = await _steps(customer)
    assert fresh['domain_validation'].state == StepState.LOCKED
    assert fresh['directory_sync'].state == StepState.IN_PROGRESS


async def test_only_the_steps_of_what_was_bought_are_made(db, northwind):
    archive = await _steps(await _customer(northwind.partner, 'ARC1', products=['ARC']))
    assert 'journaling' in archive
    assert not {'inbound_email', 'outbound_email', 'lockdown'} & set(archive)
    everything = await _steps(await _customer(northwind.partner, 'ALL1'))
    assert set(everything) == set(BY_KEY)


async def test_a_move_is_told_with_what_it_changed_in_the_lists(db, northwind):
    customer = await _customer(northwind.partner)
    heard: list[events.Changed] = []
    events.CONNECT_MOVED.subscribe(heard.append)
    await (await _steps(customer))['account_configuration'].move('complete')
    assert heard == [
        events.Changed(
            northwind.partner.id,
            {customer.id: frozenset({'connect_status', 'connect_key', 'connect_since'})},
        )
    ]


def test_the_templates_need_only_steps_that_come_before():
    seen: set[str] = set()
    for template in TEMPLATES:
        assert set(template.needs) <= seen
        seen.add(template.key)


walks = st.lists(
    st.tuples(st.sampled_from([t.key for t in TEMPLATES]), st.sampled_from(sorted(MOVES))), min_size=10, max_size=25
)


@given(walk=walks)
@settings(max_examples=12)
async def test_wherever_people_move_the_steps_what_is_shown_follows_from_them(sqlite_db, make_northwind, walk):
    partner = await Partner.first() or (await make_northwind()).partner
    customer = await _customer(partner, f'W{await Customer.all().count()}')
    for key, verb in walk:
        step = (await _steps(customer))[key]
        allowed = step.state in MOVES[verb][0]
        try:
            await step.move(verb, because='because')
        except ConnectStep.NotAllowed:
            assert not allowed
        else:
            assert allowed
        await _assert_consistent(customer)


async def _assert_consistent(customer: Customer) -> None:
    steps = await _steps(customer)
    done = {key for key, step in steps.items() if step.state in DONE}
    for key, step in steps.items():
        ready = set(BY_KEY[key].needs) <= done
        if step.state == StepState.LOCKED:
            assert not ready, key
        if step.state == StepState.TODO:
            assert ready, key
    stored = await Customer.get(id=customer.id)
    assert stored.listing == Listing.IN_PROGRESS
    blocked = [step for step in steps.values() if step.state == StepState.BLOCKED]
    assert bool(stored.blocked_because) == bool(blocked)
    still_open = [s for s in steps.values() if s.state not in DONE]
    mandatory = [s for s in still_open if not s.is_optional or s.state in (StepState.BLOCKED, StepState.IN_PROGRESS)]
    assert (stored.connect_status == 'Ready to complete') == (not mandatory)
    if mandatory:
        assert stored.connect_key in {s.key for s in mandatory} | {'rfi_received'}
        with pytest.raises(ConnectStep.NotAllowed):
            await stored.complete_connect()


async def test_a_step_of_the_msp_is_advanced_by_who_may(db, northwind):
    customer = await _customer(northwind.partner)
    await ConnectStep.filter(customer_id=customer.id).update(state=StepState.TODO)
    steps = await _steps(customer)
    assert steps['recipient_validation'].owner == StepOwner.PARTNER
    await steps['recipient_validation'].move('complete', by=northwind.tom)
    northwind.tom.role = PortalRole.SALES
    for key in ('monitoring', 'outbound_email', 'account_configuration'):
        with pytest.raises(Refused):
            await steps[key].move('start', by=northwind.tom, because='why')
        assert (await _steps(customer))[key].state in (StepState.TODO, StepState.LOCKED)


@pytest.mark.parametrize('role', [PortalRole.TECHNICIAN, PortalRole.FINANCE, PortalRole.READ_ONLY])
async def test_a_step_of_the_vendor_is_not_advanced_by_who_may_not(db, northwind, role):
    step = (await _steps(await _customer(northwind.partner)))['account_configuration']
    northwind.tom.role = role
    with pytest.raises(Refused):
        await step.move('complete', by=northwind.tom, because='the vendor said so')
    assert (await ConnectStep.get(id=step.id)).state == StepState.TODO


@pytest.mark.parametrize('role', [PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION])
async def test_a_step_of_the_vendor_is_advanced_on_its_behalf_with_a_reason_that_is_recorded(db, northwind, role):
    customer = await _customer(northwind.partner)
    step = (await _steps(customer))['account_configuration']
    northwind.ana.role = role
    with pytest.raises(ConnectStep.NotAllowed, match='the vendor’s step'):
        await step.move('complete', by=northwind.ana, because=' ')
    await step.move('complete', by=northwind.ana, because='told by phone, case 4711')
    assert (await ConnectStep.get(id=step.id)).state == StepState.COMPLETE
    event = await HistoryEvent.filter(customer_id=customer.id, kind='connect.step_complete').get()
    text = await event.text()
    assert text is not None
    assert text.summary == 'Account configuration: completed on the vendor’s behalf: told by phone, case 4711'
    assert (text.actor, text.facts['for_vendor']) == ('Ana', True)


async def test_the_vendor_itself_needs_no_reason(db, northwind):
    customer = await _customer(northwind.partner)
    await (await _steps(customer))['account_configuration'].move('complete')
    event = await HistoryEvent.filter(customer_id=customer.id, kind='connect.step_complete').get()
    text = await event.text()
    assert text is not None
    assert text.summary == 'Account configuration: completed'
