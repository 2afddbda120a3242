import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from models import (
    ConnectStep,
    ConsoleRole,
    Customer,
    CustomerProduct,
    DelegatedAccess,
    Flip,
    Health,
    HistoryEvent,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    Partner,
    PortalUser,
    Rfi,
    RfiIcon,
    RfiState,
    StepState,
    events,
)
from models.connect_step import TEMPLATES, unlock
from models.demo import load_demo, make_customers
from models.user import demo_password

SECRET = 's' * 40


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch):
    monkeypatch.setattr('models.user._hasher', PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def _check_icons_agree_with_monitors() -> None:
    monitors: dict[int, dict[str, Health]] = {}
    now = datetime.now(UTC)
    for monitor in await Monitor.all():
        ages = monitor.state in (MonitorState.GOOD, MonitorState.BAD)
        if ages:
            assert monitor.read_at is not None
            assert monitor.old_at == int(monitor.read_at.timestamp()) + monitor.expected_every
            assert monitor.is_old == (monitor.old_at <= now.timestamp())
            assert monitor.since is not None
            assert monitor.since <= monitor.read_at <= now
        else:
            assert monitor.old_at is None
            assert not monitor.is_old
        if ages and monitor.threshold is not None and monitor.value is not None:
            assert (monitor.value > monitor.threshold) == (monitor.state == MonitorState.BAD)
        health = Health.of(monitor.state, is_old=monitor.is_old)
        monitors.setdefault(monitor.customer_id, {})[monitor.kind.value] = health
    for customer in await Customer.all():
        icons = monitors[customer.id]
        assert {kind.value: getattr(customer, kind.value) for kind in MonitorKind} == icons
        assert customer.worst == min(icons.values())


async def _check_as_verbs_leave_it(customer: Customer) -> None:
    """Working everything out again changes nothing."""
    before = {step.key: step.state for step in await ConnectStep.filter(customer_id=customer.id)}
    await unlock(customer.id)
    assert {step.key: step.state for step in await ConnectStep.filter(customer_id=customer.id)} == before
    assert await customer.restate() == set(), customer.name
    form = await Rfi.get(customer_id=customer.id)
    assert form.state.icon == customer.rfi
    named = Customer(account_code=customer.account_code, domain=customer.domain)
    named.set_name(customer.name)
    assert (named.name_key, named.initial, named.search_key) == (
        customer.name_key, customer.initial, customer.search_key,
    )  # fmt: skip


# -- the demo MSPs ----------------------------------------------------------------------------------------------------


async def test_the_demo_has_two_msps_and_their_people(db):
    await load_demo(SECRET)
    password = demo_password(SECRET)
    ana, tom, eve = [
        await PortalUser.signing_in(f'{who}.example', password)
        for who in ('ana@northwind', 'tom@northwind', 'eve@fabrikam')
    ]
    assert None not in (ana, tom, eve)
    assert await Customer.visible_to(ana).count() == 30
    assert await Customer.visible_to(tom).count() == 9
    assert await Customer.visible_to(eve).count() == 8
    toms = await Customer.visible_to(tom)
    assert {customer.listing for customer in toms} == set(Listing)
    assert {customer.partner_id for customer in toms} == {ana.partner_id}
    assert not await PortalUser.signing_in('msp_client@northwind.example', password)


async def test_the_demo_shows_every_state_to_ana(db):
    await load_demo(SECRET)
    ana = await PortalUser.get(email='ana@northwind.example')
    customers = await Customer.visible_to(ana)
    ids = [customer.id for customer in customers]
    assert {customer.listing for customer in customers} == set(Listing)
    assert {customer.rfi for customer in customers} == set(RfiIcon)
    forms = await Rfi.all()
    assert {form.state for form in forms} == set(RfiState)
    assert {template.key for template in TEMPLATES} - {'rfi'} <= {customer.connect_key for customer in customers}
    assert 'rfi_received' in {customer.connect_key for customer in customers}
    assert {step.state for step in await ConnectStep.all()} == set(StepState)
    for kind in MonitorKind:
        assert {getattr(customer, kind.value) for customer in customers} == set(Health), kind
    stuck = datetime.now(UTC) - timedelta(days=14)
    assert any(c.blocked_because and c.connect_since < stuck for c in customers)
    roles = await DelegatedAccess.roles_of(ana, ids)
    assert {*roles.values()} >= {'Helpdesk L2', 'Partner Administrator', 'Full Administrator', 'Discovery Officer'}
    assert len(roles) < len(ids)
    held = set(await DelegatedAccess.all().values_list('role', flat=True))
    assert held >= {role.value for role in ConsoleRole}


async def test_demo_customers_are_as_their_verbs_would_leave_them(db):
    await load_demo(SECRET)
    await _check_icons_agree_with_monitors()
    for customer in await Customer.all():
        assert customer.is_simulated
        await _check_as_verbs_leave_it(customer)


async def test_demo_flips_end_in_the_present_state(db):
    await load_demo(SECRET)
    now = datetime.now(UTC)
    for monitor in await Monitor.all():
        flips = await Flip.filter(customer_id=monitor.customer_id, kind=monitor.kind).order_by('at')
        assert all(before.new == after.old for before, after in itertools.pairwise(flips))
        assert all(flip.old != flip.new and now - timedelta(days=2, minutes=5) < flip.at < now for flip in flips)
        if flips:
            assert (flips[-1].new, flips[-1].at) == (monitor.state, monitor.since)
    assert await Flip.all().count() > 50


async def test_demo_history_is_in_the_past_and_of_two_years(db):
    await load_demo(SECRET)
    entries = await HistoryEvent.filter(customer_id__isnull=False)
    now = datetime.now(UTC)
    assert all(entry.at < now for entry in entries)
    assert min(entry.at for entry in entries) < now - timedelta(days=500)
    assert {entry.kind for entry in entries} >= {'customer.created', 'rfi.submitted', 'connect.completed'}


async def test_a_database_with_an_msp_is_left_as_it_is(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    await load_demo(SECRET)
    assert await Partner.all().count() == 1
    assert not await Customer.exists()


async def test_a_demo_that_fails_half_way_leaves_nothing(db, monkeypatch):
    async def fails(*args):
        raise OSError('disk full')

    monkeypatch.setattr('models.demo_cast._delegate', fails)
    with pytest.raises(OSError, match='disk full'):
        await load_demo(SECRET)
    assert not await Partner.exists()


# -- as many as somebody wants ----------------------------------------------------------------------------------------


async def _facts(partner: Partner) -> list[tuple]:
    names = ('name', 'domain', 'seats', 'products_in_short', 'listing', 'connect_status', 'rfi', 'worst')
    return [tuple(row.values()) for row in await Customer.filter(partner=partner).order_by('id').values(*names)]


async def test_the_same_seed_makes_the_same_customers(db, northwind, fabrikam):
    assert await make_customers(northwind.partner, 2000, seed=7) == 2000
    await make_customers(fabrikam.partner, 2000, seed=7)
    assert await _facts(northwind.partner) == await _facts(fabrikam.partner)
    await make_customers(fabrikam.partner, 50, seed=8)
    assert (await _facts(fabrikam.partner))[-50:] != (await _facts(northwind.partner))[:50]


async def test_made_customers_are_consistent(db, northwind):
    await make_customers(northwind.partner, 2000, seed=1)
    await _check_icons_agree_with_monitors()
    assert await Monitor.all().count() == 10_000
    assert await Rfi.all().count() == 2000
    assert await Customer.filter(products__id__isnull=True).count() == 0
    assert await CustomerProduct.all().count() > 2000
    unfinished = await Customer.exclude(listing=Listing.COMPLETE)
    for customer in unfinished[:: len(unfinished) // 60]:
        await _check_as_verbs_leave_it(customer)
    complete = await Customer.filter(listing=Listing.COMPLETE)
    for customer in complete[:20]:
        await _check_as_verbs_leave_it(customer)
    assert not await ConnectStep.filter(customer__listing=Listing.COMPLETE).exists()


async def test_made_customers_are_believable(db, northwind):
    await make_customers(northwind.partner, 2000, seed=1)
    customers = await Customer.all()
    shares = Counter(customer.listing for customer in customers)
    assert 0.01 < shares[Listing.WAITING] / 2000 < 0.05
    assert 0.11 < shares[Listing.IN_PROGRESS] / 2000 < 0.19
    problems = sum(customer.worst in (Health.BAD, Health.BAD_OLD) for customer in customers)
    assert 0.004 < problems / shares[Listing.COMPLETE] < 0.03
    initials = Counter(customer.initial for customer in customers)
    assert set(initials) == set('abcdefghijklmnopqrstuvwxyz#')
    assert max(initials.values()) < 200
    now = datetime.now(UTC)
    assert all(customer.is_simulated and customer.created_at < now for customer in customers)
    assert min(customer.created_at for customer in customers) < now - timedelta(days=700)
    assert all(c.created_at <= c.connect_since <= now for c in customers)


async def test_making_more_customers_takes_no_code_twice(db, northwind):
    for _ in range(2):
        await make_customers(northwind.partner, 30, seed=5)
    await Customer.add(northwind.partner, name='By hand', account_code='BYHAND1')
    await make_customers(northwind.partner, 30, seed=5)
    codes = await Customer.all().values_list('account_code', flat=True)
    assert len(set(codes)) == len(codes) == 91


async def test_ids_of_deleted_customers_are_not_used_again(db, northwind):
    await make_customers(northwind.partner, 5, seed=5)
    last = await Customer.all().order_by('-id').first()
    assert last is not None
    await last.delete()
    await make_customers(northwind.partner, 1, seed=6)
    assert not await Customer.filter(id=last.id).exists()
    added = await Customer.add(northwind.partner, name='By hand', account_code='BYHAND1')
    assert added.id > last.id


async def test_making_customers_tells_the_pages_once(db, northwind):
    told: list[int | None] = []
    done: list[tuple[int, int]] = []
    events.MANY_CHANGED.subscribe(told.append)
    await make_customers(northwind.partner, 2500, seed=1, progress=lambda made, count: done.append((made, count)))
    assert told == [northwind.partner.id]
    assert done == [(2000, 2500), (2500, 2500)]
    assert await make_customers(northwind.partner, 0, seed=1) == 0
    assert len(told) == 1
