import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tortoise.exceptions import DoesNotExist

from models import (
    ConsoleRole,
    Customer,
    CustomerAccess,
    DelegatedAccess,
    HistoryEvent,
    Partner,
    PortalRole,
    PortalUser,
    events,
)
from models.checking import Impossible, Invalid
from models.history_verifying import verify
from models.rights import Refused

HOUR = timedelta(hours=1)


async def _grant(user: PortalUser, customer: Customer | None, role: str, **more: Any) -> None:
    await DelegatedAccess.create(user=user, partner_id=user.partner_id, customer=customer, role=role, **more)


async def _customers(partner: Partner, *names: str) -> list[Customer]:
    return [await Customer.add(partner, name=name, account_code=name.upper()) for name in names]


async def test_a_role_at_a_customer_goes_before_a_role_everywhere(db, northwind):
    a, b = await _customers(northwind.partner, 'a', 'b')
    await _grant(northwind.tom, None, ConsoleRole.BASIC_ADMINISTRATOR)
    await _grant(northwind.tom, a, ConsoleRole.PARTNER_ADMINISTRATOR)
    assert await DelegatedAccess.roles_of(northwind.tom, [a.id, b.id]) == {
        a.id: 'Partner Administrator', b.id: 'Basic Administrator',
    }  # fmt: skip


async def test_a_role_that_expired_or_was_revoked_is_none(db, northwind):
    a, b, c, d = await _customers(northwind.partner, 'a', 'b', 'c', 'd')
    now = datetime.now(UTC)
    await _grant(northwind.tom, a, 'Reviewer', expires_at=now - HOUR)
    await _grant(northwind.tom, b, 'Reviewer', revoked_at=now)
    await _grant(northwind.tom, c, 'Reviewer', expires_at=now + HOUR)
    ids = [a.id, b.id, c.id, d.id]
    assert await DelegatedAccess.roles_of(northwind.tom, ids) == {c.id: 'Reviewer'}
    await _grant(northwind.tom, None, 'Helper')
    assert await DelegatedAccess.roles_of(northwind.tom, ids) == {
        a.id: 'Helper', b.id: 'Helper', c.id: 'Reviewer', d.id: 'Helper',
    }  # fmt: skip


async def test_a_role_is_one_persons_own(db, northwind, fabrikam):
    (a,) = await _customers(northwind.partner, 'a')
    await _grant(northwind.ana, a, 'Reviewer')
    await _grant(fabrikam.eve, None, 'Reviewer')
    assert await DelegatedAccess.roles_of(northwind.tom, [a.id]) == {}
    assert await DelegatedAccess.roles_of(northwind.ana, []) == {}


async def test_customers_sort_by_role_and_those_without_one_come_last(db, northwind):
    a, b, c, d, e = await _customers(northwind.partner, 'a', 'b', 'c', 'd', 'e')
    now = datetime.now(UTC)
    await _grant(northwind.ana, a, 'Reviewer')
    await _grant(northwind.ana, b, 'basic Administrator')
    await _grant(northwind.ana, c, 'Full Administrator', expires_at=now + HOUR)
    await _grant(northwind.ana, d, 'Partner Administrator', expires_at=now - HOUR)
    await _grant(northwind.ana, e, 'Auditor', revoked_at=now)
    ordered = Customer.visible_to(northwind.ana).annotate(role=DelegatedAccess.role_order(northwind.ana))
    found = await ordered.order_by('role', 'name_key')
    assert [customer.name for customer in found] == ['b', 'c', 'a', 'd', 'e']
    assert [customer.name for customer in await ordered.order_by('-role', 'name_key')] == ['d', 'e', 'a', 'c', 'b']


async def test_sorting_and_showing_agree_on_the_role_when_there_are_several(db, northwind):
    a, b = await _customers(northwind.partner, 'a', 'b')
    await _grant(northwind.ana, None, 'Zeta')
    await _grant(northwind.ana, None, 'Alpha')
    await _grant(northwind.ana, a, 'Yes')
    await _grant(northwind.ana, a, 'Beta')
    shown = await DelegatedAccess.roles_of(northwind.ana, [a.id, b.id])
    rows = await Customer.visible_to(northwind.ana).annotate(role=DelegatedAccess.role_order(northwind.ana))
    assert {row.id: row.role for row in rows} == {id_: role.lower() for id_, role in shown.items()}  # type: ignore[attr-defined]
    assert shown == {a.id: 'Beta', b.id: 'Alpha'}


# -- granting and revoking --------------------------------------------------------------------------------------------

PARTNER = ConsoleRole.PARTNER_ADMINISTRATOR


async def _msp() -> SimpleNamespace:
    """An MSP as it is set up, with a generic account, two administrators, a technician and three customers."""
    partner = await Partner.set_up('Contoso', domain='contoso.example')
    roles = {'ana': PortalRole.ADMINISTRATOR, 'bo': PortalRole.ADMINISTRATOR, 'tom': PortalRole.TECHNICIAN}
    people = {}
    for name, role in roles.items():
        people[name] = PortalUser(partner=partner, email=f'{name}@contoso.example', role=role)
        people[name].set_name(name.capitalize())
        await people[name].save()
    generic = await PortalUser.get(partner=partner, can_sign_in=False)
    customers = await _customers(partner, 'a', 'b', 'c')
    return SimpleNamespace(partner=partner, generic=generic, customers=customers, **people)


@pytest.fixture
async def msp(db) -> SimpleNamespace:
    return await _msp()


async def _said(partner: Partner, customer: Customer | None) -> list[str]:
    """What the history of a customer, or the MSP's own, says of roles; the oldest first."""
    chain = HistoryEvent.filter(partner_id=partner.id, customer_id=customer.id if customer else None)
    found = await chain.filter(kind__startswith='delegated_access.').order_by('id')
    return [text.summary for event in found if (text := await event.text())]


async def _role(user: PortalUser, customer: Customer) -> str | None:
    return (await DelegatedAccess.roles_of(user, [customer.id])).get(customer.id)


async def test_a_holder_grants_at_many_customers_at_once_and_it_is_in_every_history(msp):
    a, b, c = msp.customers
    for customer in (a, b):
        await _grant(msp.ana, customer, PARTNER)
    heard: list[object] = []
    events.ROLES_CHANGED.subscribe(heard.append)
    until = datetime.now(UTC) + HOUR
    outcome = await DelegatedAccess.grant([a, b.id, a.id], msp.tom, by=msp.ana, expires_at=until)
    assert outcome.changed == 2
    assert heard == [msp.tom.id]
    assert await DelegatedAccess.roles_of(msp.tom, [a.id, b.id, c.id]) == {a.id: PARTNER, b.id: PARTNER}
    row = await DelegatedAccess.get(user=msp.tom, customer=a)
    assert (row.granted_by_id, row.source, row.expires_at) == (msp.ana.id, 'portal', until)
    for customer in (a, b):
        (said,) = await _said(msp.partner, customer)
        assert said.startswith('Partner Administrator was granted to Tom until ')
    (said,) = await _said(msp.partner, None)
    assert said.endswith('at a and b')
    assert await _said(msp.partner, c) == []
    assert not await verify(msp.partner.id, lambda *_: None)


async def test_who_does_not_hold_it_at_one_of_them_grants_nowhere(msp):
    a, b, c = msp.customers
    await _grant(msp.ana, a, PARTNER)
    await _grant(msp.ana, b, PARTNER, expires_at=datetime.now(UTC) - HOUR)
    await _grant(msp.ana, c, PARTNER, revoked_at=datetime.now(UTC))
    with pytest.raises(Impossible, match='do not hold Partner Administrator at b and c'):
        await DelegatedAccess.grant([a.id, b.id, c.id], msp.tom, by=msp.ana)
    assert await DelegatedAccess.roles_of(msp.tom, [a.id, b.id, c.id]) == {}
    assert await _said(msp.partner, a) == await _said(msp.partner, None) == []


@pytest.mark.parametrize('as_generic', [False, True])
async def test_the_right_is_needed_as_well_as_the_role(msp, as_generic):
    (a, *_) = msp.customers
    await _grant(msp.tom, a, PARTNER)
    for verb in (DelegatedAccess.grant, DelegatedAccess.revoke):
        with pytest.raises(Refused):
            await verb([a.id], msp.bo, by=msp.tom, as_generic=as_generic, reason='because')


async def test_nothing_is_granted_to_strangers_the_disabled_or_the_account_that_cannot_sign_in(msp, fabrikam):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    with pytest.raises(DoesNotExist):
        await DelegatedAccess.grant([a.id], fabrikam.eve, by=msp.ana)
    await PortalUser.filter(id=msp.tom.id).update(disabled_at=datetime.now(UTC))
    with pytest.raises(Impossible, match='Tom is disabled'):
        await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana)
    with pytest.raises(Impossible, match='cannot sign in'):
        await DelegatedAccess.grant([a.id], msp.generic, by=msp.ana)
    assert await DelegatedAccess.all().count() == 2  # Ana's and the generic account's


async def test_customers_of_another_msp_or_out_of_sight_are_not_there(msp, fabrikam):
    (a, b, _) = msp.customers
    (theirs,) = await _customers(fabrikam.partner, 'theirs')
    await _grant(msp.ana, a, PARTNER)
    await _grant(msp.ana, b, PARTNER)
    await CustomerAccess.create(user=msp.ana, customer=b, allowed=False)
    for other in (theirs, b):
        with pytest.raises(DoesNotExist):
            await DelegatedAccess.grant([a.id, other.id], msp.tom, by=msp.ana)
        with pytest.raises(DoesNotExist):
            await DelegatedAccess.grant([other.id], msp.tom, by=msp.ana, as_generic=True, reason='x')
    assert await DelegatedAccess.filter(user=msp.tom).count() == 0


@pytest.mark.parametrize(
    ('how', 'field'),
    [
        ({'expires_at': datetime.now(UTC) - HOUR}, 'expires_at'),
        ({'expires_at': datetime.now(UTC) + timedelta(days=9000)}, 'expires_at'),
        ({'customers': []}, 'customers'),
        ({'customers': list(range(1, 1002))}, 'customers'),
        ({'reason': 'x' * 201}, 'reason'),
        ({'as_generic': True, 'reason': '  '}, 'reason'),
    ],
)
async def test_what_cannot_be_is_refused_in_its_field(sqlite_db, how, field):
    msp = await _msp()
    given = {'customers': [msp.customers[0].id], **how}
    with pytest.raises(Invalid) as refusal:
        await DelegatedAccess.grant(given.pop('customers'), msp.tom, by=msp.ana, **given)
    assert refusal.value.field == field


async def test_only_partner_administrator_is_granted_here(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    with pytest.raises(Impossible, match='Partner Administrator only'):
        await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana, role='Full Administrator')


async def test_granting_again_moves_the_end_and_the_same_again_changes_nothing(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    await _grant(msp.tom, a, 'Reviewer')
    until = datetime.now(UTC) + HOUR
    assert (await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana, expires_at=until)).changed == 1
    again = await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana, expires_at=until)
    assert again == (0, 'Tom holds it there already; nothing changed.')
    assert (await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana)).changed == 1
    assert len(await _said(msp.partner, a)) == 2
    assert await DelegatedAccess.ends(msp.tom, [a.id]) == {}
    await DelegatedAccess.revoke([a.id], msp.tom, by=msp.ana)
    assert await _role(msp.tom, a) == 'Reviewer'  # what the vendor gave is there again


async def test_nobody_moves_the_end_of_their_own_role(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER, expires_at=datetime.now(UTC) + HOUR)
    with pytest.raises(Impossible, match='somebody else'):
        await DelegatedAccess.grant([a.id], msp.ana, by=msp.ana)
    assert await DelegatedAccess.ends(msp.ana, [a.id]) != {}


async def test_the_generic_account_grants_where_no_administrator_holds_it_and_is_named(msp):
    a, b, _ = msp.customers
    with pytest.raises(Impossible, match='do not hold'):
        await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana)
    outcome = await DelegatedAccess.grant([a.id], msp.ana, by=msp.ana, as_generic=True, reason='set-up')
    assert outcome.sentence == 'You hold Partner Administrator at 1 customer now.'
    row = await DelegatedAccess.get(user=msp.ana)
    assert (row.granted_by_id, row.source, row.reason) == (msp.generic.id, 'generic_account', 'set-up')
    (said,) = await _said(msp.partner, a)
    assert said.endswith('granted to Ana by the generic administration account on behalf of Ana – set-up')
    with pytest.raises(Impossible, match='Ana can grant it at a'):
        await DelegatedAccess.grant([a.id, b.id], msp.bo, by=msp.bo, as_generic=True, reason='me too')
    assert await DelegatedAccess.filter(user=msp.bo).count() == 0


@pytest.mark.parametrize('who', ['disabled', 'technician', 'expired'])
async def test_who_cannot_grant_it_does_not_keep_the_generic_account_from_granting(msp, who):
    (a, *_) = msp.customers
    now = datetime.now(UTC)
    if who == 'disabled':
        await PortalUser.filter(id=msp.bo.id).update(disabled_at=now)
    ends = now - HOUR if who == 'expired' else None
    await _grant(msp.tom if who == 'technician' else msp.bo, a, PARTNER, expires_at=ends)
    assert await DelegatedAccess.granters(msp.partner.id, [a.id]) == {}
    await DelegatedAccess.grant([a.id], msp.ana, by=msp.ana, as_generic=True, reason='nobody else can')
    assert await DelegatedAccess.granters(msp.partner.id, [a.id]) == {a.id: ['Ana']}


async def test_who_can_grant_is_known_for_many_customers_by_name_and_by_their_effective_role(msp):
    a, b, c = msp.customers
    await _grant(msp.bo, None, PARTNER)
    await _grant(msp.bo, b, 'Reviewer')
    await _grant(msp.ana, a, PARTNER)
    await _grant(msp.ana, b, PARTNER)
    await _grant(msp.ana, b, 'Helpdesk')
    found = await DelegatedAccess.granters(msp.partner.id, [a.id, b.id, c.id])
    assert found == {a.id: ['Ana', 'Bo'], c.id: ['Bo']}


async def test_revoking_is_in_the_history_and_says_when_nobody_is_left(msp):
    a, b, _ = msp.customers
    for customer in (a, b):
        await _grant(msp.ana, customer, PARTNER)
    await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana)
    outcome = await DelegatedAccess.revoke([a.id, b.id], msp.tom, by=msp.ana)
    assert outcome == (1, 'Tom holds Partner Administrator no more at 1 customer.')
    assert await _role(msp.tom, a) is None
    assert (await _said(msp.partner, a))[-1] == 'Partner Administrator was revoked from Tom'
    assert await _said(msp.partner, b) == []
    own = await DelegatedAccess.revoke([a.id, b.id], msp.ana, by=msp.ana)
    assert own.sentence.startswith('You hold Partner Administrator no more at 2 customers.')
    assert 'At a and b no administrator holds it now: only the generic account can grant it.' in own.sentence
    with pytest.raises(Impossible, match='do not hold'):
        await DelegatedAccess.revoke([a.id], msp.tom, by=msp.ana)
    await _grant(msp.tom, a, PARTNER)
    await DelegatedAccess.revoke([a.id], msp.tom, by=msp.ana, as_generic=True, reason='left the company')
    assert 'by the generic administration account on behalf of Ana – left' in (await _said(msp.partner, a))[-1]


async def test_the_generic_account_keeps_its_role_at_every_customer_also_at_new_ones_and_cannot_sign_in(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    with pytest.raises(Impossible, match='keeps it'):
        await DelegatedAccess.revoke([a.id], msp.generic, by=msp.ana)
    (new,) = await _customers(msp.partner, 'new')
    assert await DelegatedAccess.roles_of(msp.generic, [a.id, new.id]) == {a.id: PARTNER, new.id: PARTNER}
    assert not msp.generic.is_active
    assert await PortalUser.signing_in(msp.generic.email, '') is None


async def test_a_role_held_at_every_customer_is_not_revoked_at_some(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, None, PARTNER)
    await _grant(msp.tom, None, PARTNER)
    with pytest.raises(Impossible, match='every customer at once'):
        await DelegatedAccess.revoke([a.id], msp.tom, by=msp.ana)
    assert await _role(msp.tom, a) == PARTNER


async def test_the_first_administrator_takes_the_role_everywhere_in_one_step(msp):
    a, b, c = msp.customers
    assert await DelegatedAccess.may_begin(msp.ana)
    assert not await DelegatedAccess.may_begin(msp.tom)
    await _grant(msp.bo, b, PARTNER)
    with pytest.raises(Invalid):
        await DelegatedAccess.take_everywhere(by=msp.ana, reason='')
    with pytest.raises(Refused):
        await DelegatedAccess.take_everywhere(by=msp.tom, reason='set-up')
    outcome = await DelegatedAccess.take_everywhere(by=msp.ana, reason='set-up')
    assert outcome.changed == 2
    assert await DelegatedAccess.roles_of(msp.ana, [a.id, b.id, c.id]) == {a.id: PARTNER, c.id: PARTNER}
    assert not await DelegatedAccess.may_begin(msp.ana)
    assert (await DelegatedAccess.take_everywhere(by=msp.ana, reason='again')).changed == 0


async def test_the_role_is_taken_in_portions_where_there_are_many_customers(msp, monkeypatch):
    monkeypatch.setattr('models.access.MOST', 2)
    assert (await DelegatedAccess.take_everywhere(by=msp.ana, reason='set-up')).changed == 3
    assert len(await _said(msp.partner, None)) == 2


async def test_a_role_that_came_to_its_end_is_written_down_once(msp):
    a, b, c = msp.customers
    now = datetime.now(UTC)
    for customer in (a, b):
        await _grant(msp.tom, customer, PARTNER, expires_at=now - HOUR)
    await _grant(msp.tom, c, PARTNER, expires_at=now + HOUR)
    heard: list[object] = []
    events.ROLES_CHANGED.subscribe(heard.append)
    assert await DelegatedAccess.expire() == 2
    assert await DelegatedAccess.expire() == 0
    assert heard == [msp.tom.id]
    (said,) = await _said(msp.partner, a)
    assert said.startswith('Partner Administrator of Tom ended: it was granted until ')
    assert await _said(msp.partner, None) == [
        'Partner Administrator of Tom ended at 2 customers: it was granted for a time'
    ]
    assert await _said(msp.partner, c) == []


async def test_of_two_who_revoke_each_other_at_the_same_moment_one_does(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    await _grant(msp.bo, a, PARTNER)
    both = [
        DelegatedAccess.revoke([a.id], msp.bo, by=msp.ana), DelegatedAccess.revoke([a.id], msp.ana, by=msp.bo)
    ]  # fmt: skip
    done = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ['Impossible', 'Outcome']
    assert len(await DelegatedAccess.granters(msp.partner.id, [a.id])) == 1


async def test_everybody_with_a_role_is_listed_with_the_effective_one(msp):
    (a, *_) = msp.customers
    await _grant(msp.ana, a, PARTNER)
    await DelegatedAccess.grant([a.id], msp.tom, by=msp.ana, expires_at=datetime.now(UTC) + HOUR)
    await _grant(msp.bo, a, PARTNER)
    await _grant(msp.bo, a, 'Reviewer')
    found = await DelegatedAccess.holders(a)
    assert [(one['name'], one['role']) for one in found] == [
        ('Ana', PARTNER), ('Tom', PARTNER), ('Generic administration account', PARTNER), ('Bo', 'Reviewer')
    ]  # fmt: skip
    assert [one['may_grant'] for one in found] == [True, False, False, False]
    assert (found[1]['by'], found[1]['until'] is None) == ('Ana', False)
