import pytest

from components import theme
from components.frame import MENU
from models import Customer, CustomerAccess, PortalRole, PortalUser
from models.rights import may

FIND = '/api/ui/find'


async def test_customers_are_found_through_the_one_door(portal):
    acme = await portal.add(portal.northwind.partner, 'Acme', domain='acme.example')
    await portal.add(portal.fabrikam.partner, 'Acme of Fabrikam')
    await portal.sign_in(portal.northwind.ana)
    answer = (await portal.http.get(FIND, params={'q': ' ac '})).json()
    assert answer == {
        'customers': [
            {'id': acme.id, 'name': 'Acme', 'code': acme.account_code, 'is_provisional': False,
             'domain': 'acme.example', 'listing': 'in_progress', 'worst': 5},
        ],
        'prospects': [],
    }  # fmt: skip
    tom = await portal.signed_in(portal.northwind.tom)
    assert (await tom.get(FIND, params={'q': 'acme'})).json()['customers'] == []
    await CustomerAccess.create(user=portal.northwind.tom, customer=acme, allowed=True)
    assert len((await tom.get(FIND, params={'q': 'acme'})).json()['customers']) == 1
    assert (await portal.browser().get(FIND, params={'q': 'acme'})).status_code == 401


@pytest.mark.parametrize('typed', ['%', '_', '\x00', '\\', "' OR 1=1 --", 'x' * 5000, '😀', '‮'])
async def test_whatever_is_typed_is_answered(portal, typed):
    await portal.add(portal.northwind.partner, 'Acme')
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(FIND, params={'q': typed})
    assert answer.status_code == 200
    assert answer.json()['customers'] == []


SETTINGS_PAGE = (theme.ASSETS / 'settings.js').read_text(encoding='utf-8')


async def test_before_anything_is_typed_there_is_what_was_opened_lately_and_where_one_can_go(portal):
    acme = await portal.add(portal.northwind.partner, 'Acme')
    other = await portal.add(portal.fabrikam.partner, 'Other')
    await portal.sign_in(portal.northwind.ana)
    answer = (await portal.http.get(FIND, params={'recent': f'{other.id},x,{acme.id},-1,99999999999'})).json()
    assert [each['name'] for each in answer['customers']] == ['Acme']
    titles = {each['title'] for each in answer['places']}
    assert {'Dashboard', 'Customer | In Progress', 'Audit', 'Add a customer', 'Import customers', 'Sign out'} <= titles
    assert {'Journaling queue', 'What each role may do', 'Theme: Dark'} <= titles


@pytest.mark.parametrize('role', PortalRole)
async def test_only_what_the_role_includes_is_offered_and_every_address_leads_somewhere(portal, role):
    who = portal.northwind.ana
    await PortalUser.filter(id=who.id).update(role=role)
    who.role = role
    await portal.sign_in(who)
    places = (await portal.http.get(FIND)).json()['places']
    offered = {each['title'] for each in places if each['group'] != 'Help'}
    assert ('Add a customer' in offered) == may(who, 'customer.create')
    assert ('Import customers' in offered) == may(who, 'customer.import')
    assert ('Audit' in offered) == may(who, 'audit.see')
    assert ('Settings | Mail' in offered) == may(who, 'settings.change')
    known = {address: right for _, items in MENU for _, address, right in items}
    for each in places:
        if 'href' not in each:
            assert each['does'].startswith(('theme ', 'sign out'))
            continue
        assert not known.get(each['href']) or may(who, known[each['href']])
        if each.get('part'):  # of a page that is among them
            path, id_ = each['href'].split('#')
            assert path in {other.get('href') for other in places}
            assert f"('{id_}', '{each['title'].partition(' | ')[2]}'" in SETTINGS_PAGE
            continue
        answer = await portal.http.get(each['href'])
        assert answer.status_code == 200, each


# -- adding a customer ------------------------------------------------------------------------------------------------

NEW = '/api/ui/customers'
FACTS = {
    'name': 'Ash & Oak', 'account_code': 'ASH01', 'domain': 'ash.example', 'seats': '45', 'account_type': 'express',
    'products': ['SEC', 'DMARC'], 'begins': 'requested',
}  # fmt: skip


async def test_a_customer_is_added_with_everything_that_the_form_asks(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(NEW, json=FACTS)
    assert answer.status_code == 200, answer.text
    added = await Customer.get(id=answer.json()['id'])
    assert (added.name, added.seats, added.domain, added.account_type) == ('Ash & Oak', 45, 'ash.example', 'express')
    assert (added.listing, added.products_in_short, added.partner_id) == (
        'waiting', 'SEC, DMARC', portal.northwind.partner.id,
    )  # fmt: skip
    history = (await portal.http.get(f'/api/ui/customers/{added.id}/history')).json()['rows']
    assert [(each['summary'], each['actor']) for each in history] == [('Ash & Oak was added', 'Ana')]


@pytest.mark.parametrize(
    ('begins', 'listing', 'rfi'),
    [('requested', 'waiting', 1), ('submitted', 'in_progress', 1), ('not_applicable', 'in_progress', 3),
     ('live', 'complete', 3)],
)  # fmt: skip
async def test_where_a_customer_stands_decides_its_list(portal, begins, listing, rfi):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(NEW, json=FACTS | {'begins': begins})
    added = await Customer.get(id=answer.json()['id'])
    assert (added.listing, added.rfi) == (listing, rfi)


@pytest.mark.parametrize(
    ('wrong', 'field', 'says'),
    [({'name': ' '}, 'name', 'is empty'), ({'account_code': 'A B'}, 'account_code', 'has a space in it'),
     ({'account_code': 'taken1'}, 'account_code', 'who writes it “TAKEN1”'), ({'domain': 'x y'}, 'domain', 'domain'),
     ({'seats': 'many'}, 'seats', 'whole number'), ({'account_type': 'gold'}, 'account_type', 'none of'),
     ({'products': ['GOLD']}, 'products', 'not in the catalogue'), ({'products': 'SEC'}, 'products', 'list'),
     ({'begins': 'complete'}, 'begins', 'none of'), ({'name': 5}, 'name', 'not a text')],
)  # fmt: skip
async def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_stored(portal, wrong, field, says):
    await portal.add(portal.northwind.partner, 'Taken', account_code='TAKEN1')
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(NEW, json=FACTS | wrong)
    assert answer.status_code == 422
    assert answer.json()['field'] == field
    assert says in answer.json()['error']
    assert await Customer.all().count() == 1


async def test_everything_that_is_wrong_is_told_at_once(portal):
    await portal.sign_in(portal.northwind.ana)
    wrong = {'name': '', 'domain': 'x', 'seats': '-1', 'console_url': 'http://c.example'}
    told = (await portal.http.post(NEW, json=FACTS | wrong)).json()
    assert told == {
        'error': 'is empty', 'field': 'name', 'errors': {
            'name': 'is empty', 'domain': '“x” is not a domain', 'seats': 'must be between 0 and 10,000,000',
            'console_url': '“http://c.example” is not a whole address that begins with https://',
        },
    }  # fmt: skip
    one = (await portal.http.post(NEW, json=FACTS | {'name': ''})).json()
    assert one == {'error': 'is empty', 'field': 'name'}
    more = {'console_url': 'https://c.example', 'contract_start': '2024-02-01'}
    added = await Customer.get(id=(await portal.http.post(NEW, json=FACTS | more)).json()['id'])
    assert (added.console_url, str(added.contract_start)) == tuple(more.values())


async def test_only_those_with_the_right_add_customers(portal):
    for role in PortalRole:
        await PortalUser.filter(id=portal.northwind.ana.id).update(role=role)
        portal.northwind.ana.role = role
        await portal.sign_in(portal.northwind.ana)
        right = may(portal.northwind.ana, 'customer.create')
        answer = await portal.http.post(NEW, json=FACTS | {'account_code': role.value})
        assert answer.status_code == (200 if right else 403), role
        assert (await portal.http.get('/customers/new')).status_code == (200 if right else 404)
        tools = [tool['href'] for tool in await _tools(portal)]
        assert ('/customers/new' in tools) == right


async def _tools(portal) -> list[dict]:
    await portal.user.open('/customers/in-progress')
    return portal.config()['tools']


async def test_who_sees_some_customers_only_sees_the_one_that_they_add(portal):
    tom = portal.northwind.tom
    await PortalUser.filter(id=tom.id).update(role=PortalRole.IMPLEMENTATION)
    browser = await portal.signed_in(tom)
    added = (await browser.post(NEW, json=FACTS)).json()['id']
    assert (await browser.get(f'/api/ui/customers/{added}/parts?want=head')).status_code == 200
    assert (await browser.get(f'/customers/{added}')).status_code == 200


async def test_the_rights_are_a_help_page_for_people(portal):
    await portal.sign_in(portal.northwind.tom)
    page = (await portal.http.get('/help/access/rights')).text
    assert page
    await portal.user.open('/help/access/rights')
    await portal.should_see('What each role may do')
    await portal.should_see('Invite people, correct them, change their role')
    shown = ''.join(portal.texts())
    assert '<span aria-hidden="true">✓</span><span class="sr-only">Yes</span>' in shown
    assert 'MSP administrator' in shown
