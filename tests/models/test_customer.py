import asyncio
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    AccountType,
    ConnectStep,
    Customer,
    CustomerAccess,
    CustomerProduct,
    HistoryEvent,
    HistoryText,
    Listing,
    Monitor,
    MonitorKind,
    PortalRole,
    Rfi,
    RfiIcon,
    RfiState,
    StepState,
    events,
)
from models.checking import ChangedMeanwhile
from models.events import Changed, transaction
from models.product import next_renewal
from models.rights import Refused
from models.text import fold, initial


def _listen(*which: events.Event) -> list[tuple[events.Event, Changed]]:
    heard: list[tuple[events.Event, Changed]] = []
    for event in which or events.ABOUT_CUSTOMERS:
        event.subscribe(lambda changed, event=event: heard.append((event, changed)))
    return heard


async def _names(user) -> list[str]:
    return [customer.name for customer in await Customer.visible_to(user).order_by('name_key')]


# -- the one door -----------------------------------------------------------------------------------------------------


async def test_nobody_sees_a_customer_of_another_msp(db, northwind, fabrikam):
    await Customer.add(northwind.partner, name='Ours', account_code='C1')
    theirs = await Customer.add(fabrikam.partner, name='Theirs', account_code='C1')
    assert await _names(northwind.ana) == ['Ours']
    assert await _names(fabrikam.eve) == ['Theirs']
    await CustomerAccess.create(user=northwind.tom, customer=theirs, allowed=True)
    assert await _names(northwind.tom) == []  # not even by an exception


async def test_somebody_who_sees_all_sees_all_but_the_exceptions(db, northwind):
    a = await Customer.add(northwind.partner, name='A', account_code='A')
    await Customer.add(northwind.partner, name='B', account_code='B')
    await CustomerAccess.create(user=northwind.ana, customer=a, allowed=False)
    assert await _names(northwind.ana) == ['B']
    assert await _names(northwind.tom) == []


async def test_somebody_who_does_not_sees_the_exceptions_only(db, northwind):
    await Customer.add(northwind.partner, name='A', account_code='A')
    b = await Customer.add(northwind.partner, name='B', account_code='B')
    await CustomerAccess.create(user=northwind.tom, customer=b, allowed=True)
    assert await _names(northwind.tom) == ['B']
    assert await _names(northwind.ana) == ['A', 'B']


async def test_an_exception_that_says_what_is_so_anyway_changes_nothing(db, northwind):
    a = await Customer.add(northwind.partner, name='A', account_code='A')
    await CustomerAccess.create(user=northwind.ana, customer=a, allowed=True)
    await CustomerAccess.create(user=northwind.tom, customer=a, allowed=False)
    assert await _names(northwind.ana) == ['A']
    assert await _names(northwind.tom) == []


# -- adding -----------------------------------------------------------------------------------------------------------


async def test_a_new_customer_comes_with_its_rfi_steps_monitors_and_products(db, northwind):
    heard = _listen()
    customer = await Customer.add(
        northwind.partner, name='Émile & Co', account_code='EM1', domain='Emile.Example.', seats='250',
        products=['SEC+ARC', 'DMARC'], by=northwind.ana,
    )  # fmt: skip
    stored = await Customer.get(id=customer.id)
    assert (stored.name_key, stored.initial, stored.domain, stored.seats) == ('emile & co', 'e', 'emile.example', 250)
    assert stored.search_key == 'emile & co\nem1\nemile.example'
    assert stored.products_in_short == 'SEC+ARC, DMARC'
    assert stored.account_type == AccountType.STANDARD
    assert (await Rfi.get(customer_id=customer.id)).state == RfiState.REQUESTED
    assert {m.kind for m in await Monitor.filter(customer_id=customer.id)} == set(MonitorKind)
    assert await CustomerProduct.filter(customer_id=customer.id).count() == 2
    assert await ConnectStep.filter(customer_id=customer.id).count() == 13
    entry = await HistoryEvent.get(customer_id=customer.id)
    assert (entry.kind, entry.actor_id) == ('customer.created', northwind.ana.id)
    assert (await HistoryText.get(event_id=entry.id)).actor == 'Ana'
    assert heard == [(
        events.CUSTOMERS_ADDED,
        Changed(northwind.partner.id, {customer.id: frozenset({'name'})}, frozenset({customer.id})),
    )]  # fmt: skip


@pytest.mark.parametrize(
    ('rfi', 'listing', 'status', 'icon'),
    [
        (RfiState.NOT_REQUESTED, Listing.WAITING, 'RFI requested', RfiIcon.INCOMPLETE),
        (RfiState.REQUESTED, Listing.WAITING, 'RFI requested', RfiIcon.INCOMPLETE),
        (RfiState.DRAFT, Listing.WAITING, 'RFI requested', RfiIcon.INCOMPLETE),
        (RfiState.SUBMITTED, Listing.IN_PROGRESS, 'RFI received', RfiIcon.INCOMPLETE),
        (RfiState.ERROR, Listing.IN_PROGRESS, 'RFI received', RfiIcon.ERROR),
        (RfiState.COMPLETE, Listing.IN_PROGRESS, 'Account configuration', RfiIcon.COMPLETE),
        (RfiState.NOT_APPLICABLE, Listing.IN_PROGRESS, 'Account configuration', RfiIcon.NOT_APPLICABLE),
    ],
)
async def test_where_a_new_customer_is_listed_follows_from_its_rfi(db, northwind, rfi, listing, status, icon):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=rfi)
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.connect_status, stored.rfi) == (listing, status, icon)


async def test_a_customer_that_went_live_elsewhere_has_no_steps(db, northwind):
    customer = await Customer.add(
        northwind.partner, name='A', account_code='A', listing=Listing.COMPLETE, rfi=RfiState.NOT_APPLICABLE
    )
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.connect_status, stored.connect_key) == (Listing.COMPLETE, 'Complete', 'complete')
    assert stored.completed_at is not None
    assert await ConnectStep.filter(customer_id=customer.id).count() == 0


async def test_an_account_code_is_one_customers_within_an_msp(db, northwind, fabrikam):
    await Customer.add(northwind.partner, name='A', account_code='C1')
    await Customer.add(fabrikam.partner, name='A', account_code='C1')
    with pytest.raises(Customer.Invalid) as refused:
        await Customer.add(northwind.partner, name='B', account_code='C1')
    assert refused.value.field == 'account_code'
    assert await Customer.all().count() == 2


async def test_an_unknown_product_is_refused_and_nothing_is_stored(db, northwind):
    with pytest.raises(Customer.Invalid) as refused:
        await Customer.add(northwind.partner, name='A', account_code='A', products=['SEC', 'NOPE'])
    assert refused.value.field == 'products'
    assert await Customer.all().count() == 0


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('name', ''), ('name', '   '), ('name', '\x00\u200b'), ('name', 'x' * 201),
        ('account_code', ''), ('account_code', 'a b'), ('account_code', 'x' * 41),
        ('domain', 'nodots'), ('domain', 'a@b.example'), ('domain', 'https://a.example'), ('domain', 'a b.example'),
        ('domain', 'x.' * 200),
        ('seats', 'many'), ('seats', -1), ('seats', 10_000_001), ('seats', None), ('seats', ''), ('seats', '1.5'),
        ('seats', float('inf')), ('seats', float('nan')), ('seats', '9' * 5000),
        ('account_type', 'golden'), ('account_type', ''), ('account_type', None),
    ],
)  # fmt: skip
def test_a_fact_that_cannot_be_is_refused_by_name(field, value):
    with pytest.raises(Customer.Invalid) as refused:
        Customer.check(**{field: value})
    assert refused.value.field == field
    assert str(refused.value)


@given(name=st.text(max_size=250), code=st.text(max_size=50), domain=st.text(max_size=60), seats=st.text(max_size=12))
def test_facts_of_any_text_are_clean_or_refused(name, code, domain, seats):
    try:
        clean = Customer.check(name=name, account_code=code, domain=domain, seats=seats)
    except Customer.Invalid:
        return
    assert clean['name'].isprintable()
    assert 0 < len(clean['name']) <= 200
    assert not any(c.isspace() for c in clean['account_code'])
    assert 0 <= clean['seats'] <= 10_000_000


# -- changing ---------------------------------------------------------------------------------------------------------


async def test_a_change_is_stored_written_down_and_told(db, northwind):
    customer = await Customer.add(northwind.partner, name='Old', account_code='C1', seats=10)
    heard = _listen()
    assert await customer.change(name='Ñew', seats=20, domain='', by=northwind.ana) == {'name', 'seats'}
    stored = await Customer.get(id=customer.id)
    assert (stored.name, stored.name_key, stored.initial, stored.seats) == ('Ñew', 'new', 'n', 20)
    assert stored.search_key.startswith('new\nc1')
    assert (customer.name, customer.name_key, customer.seats) == ('Ñew', 'new', 20)
    entry = await HistoryEvent.get(kind='customer.changed')
    text = await HistoryText.get(event_id=entry.id)
    assert text.facts == {'before': {'name': 'Old', 'seats': '10'}, 'after': {'name': 'Ñew', 'seats': '20'}}
    assert text.actor == 'Ana'
    assert heard == [(
        events.CUSTOMERS_CHANGED,
        Changed(northwind.partner.id, {customer.id: frozenset({'name', 'seats'})}, frozenset({customer.id})),
    )]  # fmt: skip


async def test_an_account_code_is_another_customers_in_any_capitals(db, northwind, fabrikam):
    one = await Customer.add(northwind.partner, name='One', account_code='Dup1')
    two = await Customer.add(northwind.partner, name='Two', account_code='TWO')
    for refused in (
        Customer.add(northwind.partner, name='Three', account_code='DUP1'),
        two.change(account_code='dup1'),
    ):
        with pytest.raises(Customer.Invalid, match='who writes it “Dup1”') as caught:
            await refused
        assert caught.value.field == 'account_code'
    assert await one.change(account_code='DUP1') == {'account_code'}
    assert (await Customer.add(fabrikam.partner, name='Theirs', account_code='dup1')).account_code == 'dup1'


async def test_other_licences_change_what_is_reckoned_from_them(db, northwind):
    customer = await Customer.add(
        northwind.partner, name='A', account_code='A', seats=250, products=['SEC', 'ARC'], listing=Listing.COMPLETE
    )
    await Monitor.filter(customer_id=customer.id, kind=MonitorKind.OUTBOUND_QUEUE).update(threshold=77)
    await CustomerProduct.filter(customer_id=customer.id, product__code='ARC').update(quantity=10)
    touched: list[object] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda _partner, parts: touched.append(parts[customer.id]))
    await customer.change(seats=2500)
    thresholds = dict(await Monitor.filter(customer_id=customer.id).values_list('kind', 'threshold'))
    assert (thresholds['inbound_queue'], thresholds['outbound_queue'], thresholds['journal_queue']) == (
        1000,
        77,
        10_000,
    )
    quantities = await CustomerProduct.filter(customer_id=customer.id).values_list('product__code', 'quantity')
    assert dict(quantities) == {'SEC': 2500, 'ARC': 10}
    assert frozenset({'products', 'monitor'}) in touched


async def test_a_change_that_moves_no_list_says_so(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1')
    heard = _listen()
    await customer.change(seats=5)
    assert heard[0][1].joined == frozenset()


async def test_a_change_to_the_same_is_none(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1', seats=10)
    heard = _listen()
    assert await customer.change(name=' A ', seats='10', account_type='standard') == set()
    assert heard == []
    assert not await HistoryEvent.filter(kind='customer.changed').exists()


async def test_a_refused_change_changes_nothing(db, northwind):
    await Customer.add(northwind.partner, name='A', account_code='C1')
    customer = await Customer.add(northwind.partner, name='B', account_code='C2')
    heard = _listen()
    for facts in ({'account_code': 'C1', 'name': 'X'}, {'name': 'X', 'seats': -1}):
        with pytest.raises(Customer.Invalid):
            await customer.change(**facts)
    assert (await Customer.get(id=customer.id)).name == 'B'
    assert heard == []


async def test_a_change_is_told_after_the_commit_and_not_after_a_rollback(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1')
    heard = _listen()

    async def change_and_fail() -> None:
        async with transaction():
            await customer.change(name='B')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change_and_fail()
    assert heard == []
    assert (await Customer.get(id=customer.id)).name == 'A'
    assert not await HistoryEvent.filter(kind='customer.changed').exists()
    async with transaction():
        await (await Customer.get(id=customer.id)).change(name='C')
        assert heard == []
    assert [event for event, _ in heard] == [events.CUSTOMERS_CHANGED]


async def test_a_change_by_somebody_with_an_old_copy_keeps_what_others_changed(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1', seats=1)
    old = await Customer.get(id=customer.id)
    await customer.change(name='B')
    await old.change(seats=2)
    stored = await Customer.get(id=customer.id)
    assert (stored.name, stored.seats) == ('B', 2)


async def test_what_somebody_else_changed_meanwhile_is_told_and_kept(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1', seats=1)
    seen = {'name': 'A', 'seats': '1', 'domain': '', 'account_type': 'standard'}
    await customer.change(seats=5, was=seen, by=northwind.ana)
    heard = _listen()
    with pytest.raises(ChangedMeanwhile) as told:
        await customer.change(name='B', seats=7, was=seen, by=northwind.ana)
    assert (told.value.field, told.value.now) == ('seats', 5)
    assert (await Customer.get(id=customer.id)).name == 'A'
    assert heard == []
    assert await customer.change(name='B', seats=5, account_type='standard', was=seen, by=northwind.ana) == {'name'}


async def test_of_two_who_change_the_same_at_once_one_is_told(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1', seats=1)

    async def change(seats: int) -> bool:
        try:
            await (await Customer.get(id=customer.id)).change(seats=seats, was={'seats': 1}, by=northwind.ana)
        except ChangedMeanwhile:
            return False
        return True

    assert sum(await asyncio.gather(*(change(seats) for seats in (2, 3, 4, 5)))) == 1
    assert await HistoryEvent.filter(kind='customer.changed').count() == 1


async def test_only_administrators_and_implementation_change_facts(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1')
    for role in PortalRole:
        northwind.tom.role = role
        if role in (PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION):
            await customer.change(name=role.value, by=northwind.tom)
        else:
            with pytest.raises(Refused):
                await customer.change(name=role.value, by=northwind.tom)
    assert (await Customer.get(id=customer.id)).name == 'implementation'


async def test_a_change_is_in_the_history_in_words(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1', seats=10)
    await customer.change(account_type='nfr', seats=20, domain='Bücher.example', by=northwind.ana)
    entry = await HistoryEvent.get(kind='customer.changed')
    summary = (await HistoryText.get(event_id=entry.id)).summary
    assert set(summary.split('; ')) == {
        'Account type: Standard → Not for resale', 'Licences: 10 → 20', 'Domain: nothing → bücher.example',
    }  # fmt: skip


async def test_a_fact_that_there_is_not_is_refused(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='C1')
    with pytest.raises(Customer.Invalid) as refused:
        await customer.change(worst=0, by=northwind.ana)
    assert refused.value.field == 'worst'


@given(st.text(min_size=1, max_size=200))
@settings(max_examples=60)
async def test_any_name_is_stored_with_what_is_searched_and_sorted_by(name):
    customer = Customer(account_code='C', domain='')
    customer.set_name(name)
    assert customer.initial == initial(name)
    assert len(customer.name_key) <= 220
    assert len(customer.search_key) <= 700
    assert fold(name)[:700] in customer.search_key


# -- what is worked out -----------------------------------------------------------------------------------------------


async def test_restating_a_second_time_changes_nothing(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    since = (await Customer.get(id=customer.id)).connect_since
    fresh = await Customer.get(id=customer.id)
    assert await fresh.restate() == set()
    assert (await Customer.get(id=customer.id)).connect_since == since


async def test_a_blocked_step_is_what_a_list_shows(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    step = await ConnectStep.get(customer_id=customer.id, key='account_configuration')
    await step.move('block', because='waits for the registrar')
    stored = await Customer.get(id=customer.id)
    assert (stored.connect_status, stored.blocked_because) == ('Account configuration', 'waits for the registrar')
    await step.move('complete')
    stored = await Customer.get(id=customer.id)
    assert (stored.connect_status, stored.blocked_because) == ('Validate domains', '')


async def test_connect_is_completed_when_nothing_that_applies_is_open(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    with pytest.raises(ConnectStep.NotAllowed, match='still to be done'):
        await customer.complete_connect()
    optional = ConnectStep.filter(customer_id=customer.id, is_optional=True)
    await ConnectStep.filter(customer_id=customer.id, is_optional=False).update(state=StepState.COMPLETE)
    assert await optional.count() == 2
    heard = _listen(events.CONNECT_MOVED)
    await customer.complete_connect(by=northwind.ana)
    await customer.complete_connect()  # the second time there is nothing to do
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.connect_status) == (Listing.COMPLETE, 'Complete')
    assert stored.completed_at is not None
    assert stored.completed_at <= datetime.now(UTC)
    assert len(heard) == 1
    assert heard[0][1].joined == frozenset({customer.id})
    assert 'listing' in heard[0][1].rows[customer.id]


async def test_a_live_customer_can_go_back_into_connect(db, northwind):
    customer = await Customer.add(
        northwind.partner, name='A', account_code='A', listing=Listing.COMPLETE, rfi=RfiState.NOT_APPLICABLE
    )
    await customer.reopen_connect('journaling', because='bought archiving')
    stored = await Customer.get(id=customer.id)
    assert (stored.listing, stored.connect_status, stored.completed_at) == (Listing.IN_PROGRESS, 'Journaling', None)
    with pytest.raises(ConnectStep.NotAllowed):
        await customer.reopen_connect('journaling', because='again')
    with pytest.raises(ConnectStep.NotAllowed):
        await customer.reopen_connect('nonsense', because='why not')


# -- what is wrong, all at once ----------------------------------------------------------------------------------------


async def test_all_that_is_wrong_with_a_new_customer_is_told_at_once(db, northwind):
    await Customer.add(northwind.partner, name='Ash', account_code='A1')
    with pytest.raises(Customer.Invalid) as refused:
        await Customer.add(northwind.partner, name='', account_code='a1', seats='many', domain='x')
    assert refused.value.errors == {
        'name': 'is empty', 'seats': '“many” is not a whole number', 'domain': '“x” is not a domain',
        'account_code': '“a1” is the account code of another customer, who writes it “A1”',
    }  # fmt: skip
    assert await Customer.all().count() == 1


# -- the address of the console ----------------------------------------------------------------------------------------


async def test_the_address_of_the_console_is_changed_and_written_down(db, northwind):
    customer = await Customer.add(northwind.partner, name='Ash', account_code='A1', console_url='https://one.example')
    assert await customer.change(console_url=' https://two.example/ash ', by=northwind.ana) == {'console_url'}
    assert (await Customer.get(id=customer.id)).console_url == 'https://two.example/ash'
    entry = await HistoryEvent.get(kind='customer.changed')
    text = await HistoryText.get(event_id=entry.id)
    assert text.summary == 'Admin Console address: https://one.example → https://two.example/ash'
    assert await customer.change(console_url='', by=northwind.ana) == {'console_url'}


async def test_when_the_contract_began_is_said_later_and_products_renew_by_it(db, northwind):
    today = datetime.now(UTC).date()
    customer = await Customer.add(northwind.partner, name='Ash', account_code='A1', products=['SEC'])
    assert await customer.change(contract_start='2020-03-01', was={'contract_start': None}, by=northwind.ana)
    bought = await CustomerProduct.get(customer=customer)
    assert (bought.since, bought.renews_on) == (today, next_renewal(date(2020, 3, 1), today))
    assert not await customer.change(contract_start=date(2020, 3, 1), by=northwind.ana)
    assert await customer.change(contract_start='', was={'contract_start': '2020-03-01'}, by=northwind.ana)
    assert (await CustomerProduct.get(customer=customer)).renews_on is None
    ids = HistoryEvent.filter(kind='customer.changed').values_list('id', flat=True)
    texts = await HistoryText.filter(event_id__in=await ids).order_by('event_id').values_list('summary', flat=True)
    assert texts == ['Contract since: nothing → 1 March 2020', 'Contract since: 1 March 2020 → nothing']


@pytest.mark.parametrize(
    'address',
    ['http://c.example', 'c.example', 'javascript:alert(1)', 'https://', 'https://u:p@c.example', 'https://c. e'],
)
def test_an_address_where_no_browser_is_sent_is_refused(address):
    with pytest.raises(Customer.Invalid, match='begins with https://'):
        Customer.check(console_url=address)
