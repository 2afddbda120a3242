import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from models import (
    ConnectStep,
    Customer,
    CustomerProduct,
    Flip,
    Health,
    HistoryEvent,
    Infrastructure,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    PortalRole,
    PortalUser,
    Product,
    Rfi,
    RfiState,
    StepOwner,
    StepState,
    events,
)
from models.calendar import at, today
from models.connect_fitting import fit, set_up_products
from models.connect_step import BY_KEY, CONFIGURES, MOVES, TEMPLATES, plan
from models.database import opened
from models.monitor import AWAITED
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
    for verb, (allowed, leads_to, _, past) in MOVES.items():
        for state in StepState:
            await ConnectStep.filter(id=step.id).update(state=state)
            history = await HistoryEvent.all().count()
            if state in allowed:
                await step.move(verb, because='why', by=northwind.ana)
                fresh = await ConnectStep.get(id=step.id)
                assert fresh.state == leads_to, (verb, state)
                assert (fresh.completed_at is not None) == (leads_to in DONE)
                assert (fresh.reason == 'why') == (verb in ('block', 'skip', 'reopen'))
                assert await HistoryEvent.all().count() == history + 1
            else:
                with pytest.raises(ConnectStep.NotAllowed, match=past if state != StepState.LOCKED else 'is locked'):
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
    for key in ('account_configuration', 'domain_validation', 'directory_sync'):
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
            {
                customer.id: frozenset(
                    {
                        'connect_status',
                        'connect_key',
                        'connect_since',
                        'connect_owner',
                        'connect_due',
                        'steps_done',
                    }
                )
            },
        )
    ]


def test_the_templates_need_only_steps_that_come_before():
    seen: set[str] = set()
    for template in TEMPLATES:
        assert set(template.needs) <= seen
        seen.add(template.key)


# -- a walk through everything that can be done ------------------------------------------------------------------------


class Walk(RuleBasedStateMachine):
    """Somebody moves steps, holds Connect and completes it, as a model of its own expects it to go."""

    runner: asyncio.Runner
    people: dict[str, PortalUser | None]
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Walk.made += 1
        self.customer = self.run(Customer.add(
            Walk.partner, name='Walk', account_code=f'W{Walk.made}', rfi=RfiState.NOT_APPLICABLE, products=['SEC']
        ))  # fmt: skip
        steps = self.run(_steps(self.customer))
        self.needs = {key: set(step.needs) for key, step in steps.items()}
        self.optional = {key for key, step in steps.items() if step.is_optional}
        self.owner = {key: step.owner for key, step in steps.items()}
        self.state = {key: step.state for key, step in steps.items()}
        self.listing, self.held = Listing.IN_PROGRESS, False
        self.later: set[str] = set()
        self.reopened: set[str] = set()  # and not moved since

    def run(self, work: Any) -> Any:
        async def awaited() -> Any:
            return await work

        return Walk.runner.run(awaited())

    def ready(self, key: str) -> bool:
        return all(self.state[needed] in DONE for needed in self.needs[key])

    def mandatory(self) -> list[str]:
        begun = (StepState.IN_PROGRESS, StepState.BLOCKED)
        return [
            key for key, state in self.state.items()
            if state not in DONE and (key not in self.optional or state in begun)
            and (self.listing == Listing.IN_PROGRESS or key in self.later)
        ]  # fmt: skip

    def refused(self, key: str, verb: str, who: str, because: str) -> type[Exception] | None:
        """What the model expects."""
        vendor = self.owner[key] == StepOwner.VENDOR
        if who == 'sales' or (who == 'technician' and vendor):
            return Refused
        allowed, _, says_why, _ = MOVES[verb]
        stopped = self.held or (self.listing != Listing.IN_PROGRESS and key not in self.optional | self.later)
        if not because and (says_why or (vendor and who != 'vendor')):
            return ConnectStep.NotAllowed
        if stopped or (key == 'rfi' and who != 'vendor') or self.state[key] not in allowed:
            return ConnectStep.NotAllowed
        return ConnectStep.NotAllowed if verb == 'complete' and not self.ready(key) else None

    @rule(
        key=st.sampled_from([t.key for t in TEMPLATES]),
        verb=st.sampled_from(sorted(MOVES)),
        who=st.sampled_from(['vendor', 'vendor', 'ana', 'ana', 'technician', 'sales']),
        because=st.sampled_from(['because', 'because', '']),
    )
    def move(self, key: str, verb: str, who: str, because: str) -> None:
        if key not in self.state:  # not bought
            return
        expected, history = self.refused(key, verb, who, because), self.run(HistoryEvent.all().count())
        step = self.run(ConnectStep.get(customer_id=self.customer.id, key=key))
        work = step.move(verb, by=Walk.people[who], because=because, seen=step.seen)
        if expected is not None:
            with pytest.raises(expected):
                self.run(work)
            assert self.run(HistoryEvent.all().count()) == history
            return
        self.run(work)
        assert self.run(HistoryEvent.all().count()) == history + 1
        self.state[key] = MOVES[verb].leads_to
        (self.reopened.add if verb == 'reopen' else self.reopened.discard)(key)
        self.settle()

    def settle(self) -> None:
        for other, state in self.state.items():
            if state == StepState.LOCKED and self.ready(other):
                self.state[other] = StepState.TODO
            elif state == StepState.TODO and not self.ready(other):
                self.state[other] = StepState.LOCKED

    @rule(key=st.sampled_from(['account_configuration', 'domain_validation', 'outbound_email']))
    def get_on(self, key: str) -> None:
        """So that a walk gets somewhere: whatever comes before a step is done, and the step."""
        for needed in [*sorted(self.needs[key], key=list(self.state).index), key]:
            if self.state[needed] not in DONE and self.ready(needed) and not self.held:
                self.move(needed, 'complete', 'vendor', '')

    @rule(
        key=st.sampled_from(['outbound_email', 'domain_validation', 'recipient_validation']),
        verb=st.sampled_from(sorted(MOVES)),
    )
    def take_back(self, key: str, verb: str) -> None:
        """What a step that is worked on needs is reopened."""
        self.get_on('account_configuration')
        self.move(key, 'start', 'vendor', '')
        for needed in sorted(self.needs[key]):
            self.move(needed, 'reopen', 'vendor', 'because')
        self.move(key, verb, 'vendor', 'because')

    @rule(because=st.sampled_from(['because', '']))
    def hold(self, because: str) -> None:
        work = self.customer.hold(because, by=Walk.people['ana'])
        if because and not self.held and self.listing == Listing.IN_PROGRESS:
            self.run(work)
            self.held = True
        else:
            with pytest.raises((ConnectStep.NotAllowed, Customer.Invalid)):
                self.run(work)

    @precondition(lambda self: self.held)
    @rule()
    def resume(self) -> None:
        self.run(self.customer.resume(by=Walk.people['ana']))
        self.held = False
        with pytest.raises(ConnectStep.NotAllowed, match='not on hold'):
            self.run(self.customer.resume(by=Walk.people['ana']))

    @rule(finishes=st.booleans())
    def complete(self, finishes: bool) -> None:
        if finishes and not self.held and self.listing == Listing.IN_PROGRESS:
            for key in list(self.state):
                if key in self.mandatory():
                    self.move(key, 'skip', 'vendor', 'not needed')
        work = self.customer.complete_connect(by=Walk.people['ana'])
        if self.listing == Listing.COMPLETE:
            self.run(work)  # a second time, nothing happens
        elif self.held or self.mandatory():
            with pytest.raises(ConnectStep.NotAllowed):
                self.run(work)
        else:
            self.run(work)
            self.listing = Listing.COMPLETE

    @precondition(lambda self: self.listing == Listing.COMPLETE)
    @rule(key=st.sampled_from(['outbound_email', 'permitted_senders', 'handover']))
    def reopen(self, key: str) -> None:
        self.run(self.customer.reopen_connect(key, because='an upgrade', by=Walk.people['ana']))
        self.listing, self.state[key] = Listing.IN_PROGRESS, StepState.IN_PROGRESS
        self.optional.discard(key)
        self.reopened.add(key)
        self.settle()

    @precondition(lambda self: 'journaling' not in self.state)
    @rule()
    def buy(self) -> None:
        """Archiving, which is to be set up: of a live customer, while it stays so."""

        async def bought() -> list[str]:
            async with events.transaction():
                archive = await Product.get(code='ARC', partner_id=None)
                await CustomerProduct.create(customer=self.customer, product=archive, quantity=1, since='2026-01-01')
                return await set_up_products(self.customer, had='S')

        assert self.run(bought()) == ['Journaling']
        steps = self.run(_steps(self.customer))
        self.state['journaling'], self.owner['journaling'] = StepState.LOCKED, StepOwner.CUSTOMER
        self.needs['journaling'] = {'account_configuration', 'domain_validation'}
        more = {
            'monitoring': {'outbound_email', 'inbound_email', 'journaling'},
            'handover': self.needs['handover'] | {'journaling'},
        }
        self.needs |= {key: needs for key, needs in more.items() if self.state[key] not in DONE}
        assert {key: set(step.needs) for key, step in steps.items()} == self.needs
        self.later |= {'journaling'} if self.listing == Listing.COMPLETE else set()
        self.settle()

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        steps = self.run(_steps(self.customer))
        assert {key: step.state for key, step in steps.items()} == self.state
        for key, step in steps.items():
            assert (step.completed_at is not None) == (step.state in DONE), key
            assert not step.done_by or step.state in DONE, key
            says_why = key in self.reopened or step.state in (StepState.BLOCKED, StepState.SKIPPED)
            assert bool(step.reason) == says_why or key == 'rfi', key
        stored = self.run(Customer.get(id=self.customer.id))
        assert (stored.listing, stored.held_at is not None) == (self.listing, self.held)
        # An optional step that is done makes neither of them grow.
        counting = [key for key, step in steps.items() if not step.is_optional and step.state != StepState.SKIPPED]
        assert stored.steps_of == len(counting)
        assert stored.steps_done == sum(self.state[key] == StepState.COMPLETE for key in counting)
        current = self.mandatory()
        if self.listing == Listing.COMPLETE and current:
            assert (stored.connect_key, stored.connect_owner) == ('journaling', 'customer')
        elif self.listing == Listing.COMPLETE:
            assert (stored.connect_key, stored.connect_owner) == ('complete', '')
        elif self.held:
            assert (stored.connect_key, stored.connect_due) == ('on_hold', None)
        elif not current:
            assert (stored.connect_status, stored.connect_owner) == ('Ready to complete', 'partner')
        else:
            key = 'rfi' if stored.connect_key == 'rfi_received' else stored.connect_key
            assert key in current
            assert stored.connect_owner == self.owner[key].value
            assert bool(stored.blocked_because) == (self.state[key] == StepState.BLOCKED)
        assert self.run(stored.restate()) == set()


def test_wherever_people_go_what_is_stored_follows_the_rules(sqlite_file, test_settings, make_northwind):
    async def cast() -> None:
        northwind = await make_northwind()
        Walk.partner = northwind.partner
        sales = await PortalUser.create(partner=northwind.partner, name='Sal', email='sal@n.example', role='sales')
        Walk.people = {'vendor': None, 'ana': northwind.ana, 'technician': northwind.tom, 'sales': sales}

    with asyncio.Runner() as Walk.runner:
        database = opened(test_settings)
        Walk.runner.run(database.__aenter__())
        try:
            Walk.runner.run(cast())
            run_state_machine_as_test(Walk, settings=settings(max_examples=8, stateful_step_count=20))
        finally:
            Walk.runner.run(database.__aexit__(None, None, None))


# -- who is quicker ---------------------------------------------------------------------------------------------------


async def test_of_two_who_complete_a_step_at_once_one_wins_and_the_other_is_told(db, northwind):
    customer = await _customer(northwind.partner)
    step = (await _steps(customer))['account_configuration']
    copies = [await ConnectStep.get(id=step.id) for _ in range(4)]
    results = await asyncio.gather(
        *(copy.move('complete', by=northwind.ana, because='told so', seen=step.seen) for copy in copies),
        return_exceptions=True,
    )
    told = [result for result in results if result is not None]
    assert len(told) == 3
    assert all(isinstance(each, ConnectStep.NotAllowed) for each in told), told
    assert {str(each) for each in told} == {
        'Account configuration is complete (Ana). You saw it as it was before; look again.'
    }
    assert await HistoryEvent.filter(kind='connect.step_complete').count() == 1


async def test_two_who_complete_what_a_third_step_needs_unlock_it(db, northwind):
    customer = await _customer(northwind.partner)
    await ConnectStep.filter(customer_id=customer.id, key__in=['account_configuration', 'domain_validation']).update(
        state=StepState.COMPLETE
    )
    both = ('outbound_email', 'recipient_validation')
    await ConnectStep.filter(customer_id=customer.id, key__in=both).update(state=StepState.IN_PROGRESS)
    await ConnectStep.filter(customer_id=customer.id, key='directory_sync').update(state=StepState.SKIPPED)
    steps = await _steps(customer)
    await asyncio.gather(*(steps[key].move('complete', by=northwind.ana) for key in both))
    assert (await _steps(customer))['inbound_email'].state == StepState.TODO


async def test_who_did_not_see_that_a_step_was_reopened_does_not_complete_it(db, northwind):
    customer = await _customer(northwind.partner)
    step = (await _steps(customer))['account_configuration']
    await step.move('start')
    seen = (await ConnectStep.get(id=step.id)).seen
    await step.move('complete')
    await step.move('reopen', by=northwind.ana, because='wrong region')
    with pytest.raises(ConnectStep.NotAllowed, match=r'is in progress\. You saw it as it was before'):
        await step.move('complete', seen=seen)
    fresh = await ConnectStep.get(id=step.id)
    assert fresh.state == StepState.IN_PROGRESS
    await step.move('complete', seen=fresh.seen)


# -- rules that are said -----------------------------------------------------------------------------------------------


async def test_each_refusal_says_which_rule_it_breaks(db, northwind):
    ana, customer = northwind.ana, await _customer(northwind.partner)
    steps = await _steps(customer)

    async def said(key: str, verb: str, because: str = 'because', by: PortalUser | None = ana) -> str:
        with pytest.raises(ConnectStep.NotAllowed) as refused:
            await steps[key].move(verb, by=by, because=because)
        return str(refused.value)

    assert await said('inbound_email', 'start') == (
        'Inbound email is locked: Outbound email and Recipient validation come first.'
    )
    assert await said('domain_validation', 'complete') == (
        'Validate domains is locked: Account configuration comes first.'
    )
    assert await said('account_configuration', 'reopen') == (
        'Account configuration is not begun; it cannot be reopened now.'
    )
    assert 'on their behalf, say why' in await said('account_configuration', 'start', '')
    assert await said('recipient_validation', 'skip', ' ') == 'To skip a step, say why.'
    assert await said('recipient_validation', 'skip', 'x' * 201) == 'A reason cannot be longer than 200 characters.'
    assert 'follows the RFI form' in await said('rfi', 'reopen')
    assert await said('rfi', 'fly') == 'There is no such move.'
    await customer.hold('waits for the board', by=ana)
    assert await said('account_configuration', 'start', by=None) == (
        'Connect is on hold: waits for the board. Let it go on first.'
    )
    await customer.resume(by=ana)
    await steps['account_configuration'].move('complete')
    await steps['domain_validation'].move('start', by=ana)
    await steps['account_configuration'].move('reopen', because='wrong region')
    assert await said('domain_validation', 'complete') == (
        'Validate domains is locked: Account configuration comes first.'
    )
    await customer.abandon('went elsewhere', by=ana)
    assert await said('account_configuration', 'start') == 'A is closed; nothing of its Connect changes any more.'


# -- what is watched ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('key', sorted(CONFIGURES))
async def test_what_a_step_configures_is_watched_from_then_on(db, northwind, key):
    customer = await _customer(northwind.partner)
    await ConnectStep.filter(customer_id=customer.id).exclude(key=key).update(state=StepState.COMPLETE)
    await ConnectStep.filter(customer_id=customer.id, key=key).update(state=StepState.TODO)
    heard: list[events.Changed] = []
    events.MONITORS_FLIPPED.subscribe(heard.append)
    step = (await _steps(customer))[key]
    await step.move('complete')
    stored = await Customer.get(id=customer.id)
    for kind in MonitorKind:
        monitor = await Monitor.get(customer_id=customer.id, kind=kind)
        begun = kind in CONFIGURES[key]
        assert (monitor.state == MonitorState.UNKNOWN) == begun, kind
        assert (monitor.reason == AWAITED) == begun
        assert getattr(stored, kind.value) == (Health.UNKNOWN if begun else Health.NOT_CONFIGURED)
    assert stored.worst == Health.UNKNOWN
    assert len(heard) == 1
    assert await Flip.filter(customer_id=customer.id).count() == len(CONFIGURES[key])
    # A good reading is not forgotten because the step is done once more.
    now = datetime.now(UTC)
    await customer.record_readings(dict.fromkeys(CONFIGURES[key], MonitorState.GOOD), at=now)
    await step.move('reopen', because='again')
    await step.move('complete')
    for kind in CONFIGURES[key]:
        assert (await Monitor.get(customer_id=customer.id, kind=kind)).state == MonitorState.GOOD


# -- dates and infrastructure ------------------------------------------------------------------------------------------


def test_what_is_due_is_due_at_the_end_of_work_where_the_msp_is(northwind_in):
    partner = northwind_in('America/New_York')
    begun = datetime(2026, 10, 29, 2, 30, tzinfo=UTC)  # still the 28th there
    due = plan(TEMPLATES, begun, partner, is_back=True)
    assert due['account_configuration'] == datetime(2026, 11, 1, 22, tzinfo=UTC)  # clocks were set back that morning
    assert due['rfi'] == datetime(2026, 11, 7, 22, tzinfo=UTC)
    assert {key for key, at in due.items() if at is None} == {'user_authentication', 'permitted_senders'}
    before = plan(TEMPLATES, begun, partner, is_back=False)
    assert [key for key, at in before.items() if at] == ['rfi']


@pytest.fixture
def northwind_in():
    from models import Partner

    return lambda zone: Partner(name='Northwind IT', slug='n', time_zone=zone)


async def test_steps_that_the_infrastructure_does_not_need_are_skipped_once_it_is_known(db, northwind):
    customer = await _customer(northwind.partner)
    assert await fit(customer.id) == []
    await Infrastructure.create(customer_id=customer.id, mail_platform='microsoft_365', directory='none')
    assert await fit(customer.id) == ['Directory synchronization', 'Firewall lock-down']
    steps = await _steps(customer)
    assert (steps['lockdown'].state, steps['lockdown'].reason) == (StepState.SKIPPED, 'Not needed with Microsoft 365')
    assert steps['directory_sync'].reason == 'Not needed without a directory'
    assert await fit(customer.id) == []
    await customer.restate()
    assert customer.steps_of == 8
    kinds = await HistoryEvent.filter(customer_id=customer.id, kind='connect.step_skipped').count()
    assert kinds == 2
    # The same where somebody enters it by hand.
    other = await _customer(northwind.partner, 'B')
    heard: list[events.Changed] = []
    events.CONNECT_MOVED.subscribe(heard.append)
    await Infrastructure.change(other, {'mail_platform': 'google_workspace'}, was=None, by=northwind.ana)
    assert (await _steps(other))['lockdown'].reason == 'Not needed with Google Workspace'
    assert (await Customer.get(id=other.id)).steps_of == 9
    assert len(heard) == 1


async def test_what_moves_while_connect_is_on_hold_moves_by_the_days_that_it_rested(db, northwind):
    customer = await _customer(northwind.partner)
    before = {key: step.due_at for key, step in (await _steps(customer)).items()}
    await customer.hold('waits', by=northwind.ana)
    assert (await Customer.get(id=customer.id)).connect_due is None
    await Customer.filter(id=customer.id).update(held_at=datetime.now(UTC) - timedelta(days=5))
    await customer.resume(by=northwind.ana)
    for key, step in (await _steps(customer)).items():
        due = before[key]
        assert step.due_at == (due and due + timedelta(days=5)), key
    assert (await Customer.get(id=customer.id)).connect_due == before['account_configuration'] + timedelta(days=5)


async def test_what_is_planned_while_connect_rests_is_planned_from_where_it_goes_on(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.REQUESTED)
    await customer.hold('waits', by=northwind.ana)
    await Customer.filter(id=customer.id).update(held_at=datetime.now(UTC) - timedelta(days=9))
    form = await Rfi.get(customer_id=customer.id)
    await form.move('submit', answers={})
    await customer.resume(by=northwind.ana)
    account = (await _steps(customer))['account_configuration']
    assert account.due_at == at(northwind.partner, today(northwind.partner) + timedelta(days=4))


async def test_the_rule_of_the_msp_completes_connect_whatever_came_last(db, northwind):
    await northwind.partner.update_from_dict({'completion': 'automatic'}).save()

    async def nearly(code: str, form: RfiState = RfiState.NOT_APPLICABLE) -> Customer:
        customer = await Customer.add(northwind.partner, name=code, account_code=code, rfi=form)
        rest = ConnectStep.filter(customer_id=customer.id).exclude(key='rfi')
        await rest.update(state=StepState.COMPLETE, completed_at=datetime.now(UTC))
        return customer

    by_form = await nearly('A', RfiState.SUBMITTED)
    await (await Rfi.get(customer_id=by_form.id)).move('accept')
    assert (await Customer.get(id=by_form.id)).listing == Listing.COMPLETE
    [found] = (await _steps(by_form))['rfi'].evidence
    assert (found['asked'], found['answer'], found['passed']) == (
        'Is the RFI form complete?', 'It was accepted.', True,
    )  # fmt: skip
    rested = await nearly('B')
    await Customer.filter(id=rested.id).update(held_at=datetime.now(UTC))
    await rested.resume(by=northwind.ana)
    assert (await Customer.get(id=rested.id)).listing == Listing.COMPLETE


async def test_a_live_customer_is_not_brought_back_at_the_step_that_nobody_moves(db, northwind):
    customer = await _customer(northwind.partner)
    await ConnectStep.filter(customer_id=customer.id).update(state=StepState.COMPLETE)
    await customer.complete_connect(by=northwind.ana)
    with pytest.raises(ConnectStep.NotAllowed, match='follows the RFI form'):
        await customer.reopen_connect('rfi', because='x', by=northwind.ana)
    assert (await Customer.get(id=customer.id)).listing == Listing.COMPLETE


async def test_a_hold_ends_with_the_morning_of_its_day_where_the_msp_is(db, northwind, monkeypatch, caplog):
    northwind.partner.time_zone = 'Asia/Tokyo'
    await northwind.partner.save()
    customer, forever = await _customer(northwind.partner), await _customer(northwind.partner, 'B')
    await customer.hold('waits', datetime.now(UTC).date() + timedelta(days=10), by=northwind.ana)
    await forever.hold('waits', by=northwind.ana)
    morning = datetime.combine(datetime.now(UTC).date() + timedelta(days=10), datetime.min.time(), UTC) - timedelta(
        hours=9
    )
    assert await Customer.end_holds(now=morning - timedelta(minutes=1)) == 0
    assert await Customer.end_holds(now=morning) == 1
    assert await Customer.end_holds(now=morning) == 0
    stored = await Customer.get(id=customer.id)
    assert (stored.held_at, stored.hold_until, stored.hold_because) == (None, None, '')
    assert stored.connect_key == 'account_configuration'
    assert (await Customer.get(id=forever.id)).connect_key == 'on_hold'
    # One that cannot go on keeps no other from it.
    await stored.hold('waits', morning.date() + timedelta(days=1), by=northwind.ana)
    await Customer.filter(id=forever.id).update(hold_until=morning.date())
    as_it_is = Customer.resume

    async def resume(held: Customer) -> None:
        if held.id == forever.id:
            raise ValueError('a step that nobody can read')
        await as_it_is(held)

    with monkeypatch.context() as patched:
        patched.setattr(Customer, 'resume', resume)
        assert await Customer.end_holds(now=morning + timedelta(days=2)) == 1
    assert f'Connect of customer {forever.id} cannot go on' in caplog.text
    with pytest.raises(Customer.Invalid, match='a day to come'):
        await customer.hold('waits', datetime.now(UTC).date() - timedelta(days=1), by=northwind.ana)
    northwind.tom.role = PortalRole.TECHNICIAN
    for refused in (customer.hold('x', by=northwind.tom), customer.resume(by=northwind.tom),
                    customer.abandon('x', by=northwind.tom), customer.complete_connect(by=northwind.tom)):  # fmt: skip
        with pytest.raises(Refused):
            await refused


async def test_a_step_of_the_msp_is_advanced_by_who_may(db, northwind):
    customer = await _customer(northwind.partner)
    await ConnectStep.filter(customer_id=customer.id).update(state=StepState.TODO)
    steps = await _steps(customer)
    assert steps['recipient_validation'].owner == StepOwner.PARTNER
    await steps['recipient_validation'].move('start', by=northwind.tom)
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
