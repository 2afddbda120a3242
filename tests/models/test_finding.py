import pytest

from models import Customer, CustomerAccess, CustomerTag, Listing, RfiState
from models import finding as module
from models.finding import find_customers, these_customers
from models.tag import UserTag


async def _add(partner, name, code, **facts):
    return await Customer.add(partner, name=name, account_code=code, **{'rfi': RfiState.NOT_APPLICABLE, **facts})


async def _names(user, typed, **more):
    return [found['name'] for found in await find_customers(user, typed, **more)]


async def test_a_customer_is_found_in_every_list_by_name_code_and_domain(db, northwind):
    await _add(northwind.partner, 'Émile’s Bakery', 'EMI01', domain='bread.example', listing=Listing.COMPLETE)
    await _add(northwind.partner, 'Łódź Logistics', 'LOD7', rfi=RfiState.REQUESTED)
    await _add(northwind.partner, 'Plum Telecom', 'PLU001')
    for typed in ('emile', 'ÉMILE', 'emi01', 'bread', 'bakery emile', 'le’s'):
        assert await _names(northwind.ana, typed) == ['Émile’s Bakery'], typed
    [found] = await find_customers(northwind.ana, 'lodz')
    assert (found['listing'], found['code'], found['worst']) == ('waiting', 'LOD7', 5)
    assert await _names(northwind.ana, 'plum') == ['Plum Telecom']
    assert await _names(northwind.ana, '  ') == []
    assert await _names(northwind.ana, 'nobody') == []


async def test_what_begins_as_was_typed_comes_before_what_only_contains_it(db, northwind):
    for name, code in (('Old Acme', 'A1'), ('The Tacmey', 'A2'), ('Acme', 'A3'), ('Zulu', 'ACME'), ('Beta', 'acmes')):
        await _add(northwind.partner, name, code)
    assert await _names(northwind.ana, 'acme') == ['Zulu', 'Acme', 'Beta', 'Old Acme', 'The Tacmey']


@pytest.mark.parametrize(
    ('typed', 'name'), [('100%', '100% Cotton'), ('e_c', 'Snake_case'), ('back\\s', 'Back\\slash')]
)
async def test_signs_are_searched_for_as_they_are(db, northwind, typed, name):
    for number, each in enumerate(('100% Cotton', '1000 Cotton', 'Snake_case', 'Snakescase', 'Back\\slash', 'Backs')):
        await _add(northwind.partner, each, f'S{number}')
    assert await _names(northwind.ana, typed) == [name]


async def test_only_what_is_theirs_is_found_also_beside_many_others(db, northwind, fabrikam, monkeypatch):
    monkeypatch.setattr(module, 'CANDIDATES', 3)
    for number in range(6):
        await _add(northwind.partner, f'The Mill {number}', f'M{number}')
    seen = await _add(northwind.partner, 'Wind Mill', 'WM1')
    await _add(fabrikam.partner, 'Mill of Fabrikam', 'M1')
    await CustomerAccess.create(user=northwind.tom, customer=seen, allowed=True)
    assert await _names(northwind.tom, 'mill') == ['Wind Mill']
    tagged = await Customer.get(account_code='M0', partner=northwind.partner)
    await CustomerTag.create(customer=tagged, tag='north')
    await UserTag.create(user=northwind.tom, tag='north')
    assert await _names(northwind.tom, 'mill') == ['The Mill 0', 'Wind Mill']
    assert await _names(fabrikam.eve, 'mill') == ['Mill of Fabrikam']
    # Whoever sees all but a few finds the others, although those few were read first.
    for hidden in await Customer.filter(partner=northwind.partner, account_code__in=['M0', 'M1', 'M2']):
        await CustomerAccess.create(user=northwind.ana, customer=hidden, allowed=False)
    found = await _names(northwind.ana, 'mill')
    assert found
    assert not {'The Mill 0', 'The Mill 1', 'The Mill 2'} & set(found)


async def test_no_more_are_found_than_were_asked_for(db, northwind):
    for number in range(15):
        await _add(northwind.partner, f'Many {number:02}', f'N{number}')
    assert await _names(northwind.ana, 'many') == [f'Many {number:02}' for number in range(12)]
    assert len(await find_customers(northwind.ana, 'an', limit=3)) == 3


async def test_customers_opened_lately_are_checked_again(db, northwind, fabrikam):
    one, two = await _add(northwind.partner, 'One', 'O1'), await _add(northwind.partner, 'Two', 'T2')
    other = await _add(fabrikam.partner, 'Other', 'O1')
    found = await these_customers(northwind.ana, [two.id, other.id, 999, one.id, two.id])
    assert [each['name'] for each in found] == ['Two', 'One']
    assert await these_customers(northwind.tom, [one.id]) == []
