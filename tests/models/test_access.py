from datetime import UTC, datetime, timedelta

from models import ConsoleRole, Customer, DelegatedAccess, Partner, PortalUser

HOUR = timedelta(hours=1)


async def _grant(user: PortalUser, customer: Customer | None, role: str, **more: object) -> None:
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
