import re
from datetime import UTC, datetime
from typing import Any

import pytest
from nicegui import ui

from components import theme
from components.frame import MENU
from components.island import Island
from models import ConsoleRole, CustomerAccess, DelegatedAccess, Health, Listing, PortalUser, Session
from settings import settings

PAGES = [
    '/', '/customers/in-progress', '/customers/complete', '/customers/waiting', '/help', '/help/monitor/states',
    '/help/connect/domain_validation', '/noc',
]  # fmt: skip
SCRIPT = '<script>alert(1)</script>'


@pytest.fixture
async def emile(portal) -> Any:
    return await portal.add(
        portal.northwind.partner, 'Émile’s Bakery', account_code='EMILE1', seats=1234, domain='emile.example'
    )


def _addresses(client: Any) -> set[str]:
    return {element.props['href'] for element in client.elements.values() if 'href' in element.props}


# -- the quartet ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path', PAGES)
async def test_a_page_is_there_for_everybody_who_is_signed_in_and_for_nobody_else(portal, path):
    stranger = await portal.http.get(path)
    assert stranger.status_code == 303
    assert stranger.headers['location'] == ('/login' if path == '/' else f'/login?next={path}')
    for who in (portal.northwind.ana, portal.northwind.tom, portal.fabrikam.eve):
        await portal.sign_in(who)
        answer = await portal.http.get(path)
        assert answer.status_code == 200
        assert 'no-store' in answer.headers['cache-control']


async def test_ana_sees_a_customer_of_her_msp(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/customers/{emile.id}')
    for text in ('Émile’s Bakery', 'EMILE1', 'emile.example', '1,234', 'Account configuration', 'Not applicable'):
        await portal.should_see(text)


async def test_tom_sees_a_customer_once_it_is_given_to_him(portal, emile):
    tom = portal.northwind.tom
    await portal.sign_in(tom)
    assert (await portal.http.get(f'/customers/{emile.id}')).status_code == 404
    await CustomerAccess.create(user=tom, customer=emile, allowed=True)
    assert (await portal.http.get(f'/customers/{emile.id}')).status_code == 200
    await portal.user.open(f'/customers/{emile.id}')
    await portal.should_see('Émile’s Bakery')


async def test_ana_does_not_see_a_customer_that_was_taken_from_her(portal, emile):
    await CustomerAccess.create(user=portal.northwind.ana, customer=emile, allowed=False)
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(f'/customers/{emile.id}')
    assert answer.status_code == 404
    assert 'Bakery' not in answer.text


def _said(answer: Any) -> str:
    """An answer without what differs from one opening of a page to the next."""
    text = re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', answer.text)
    return re.sub(r'/customers/[0-9]+', 'PATH', text)


@pytest.mark.parametrize('typed', ['999999', '0', '000000001', '9' * 9])
async def test_an_unknown_customer_and_one_that_is_not_hers_look_exactly_the_same_to_eve(portal, emile, typed):
    await portal.sign_in(portal.fabrikam.eve)
    foreign = await portal.http.get(f'/customers/{emile.id}')
    unknown = await portal.http.get(f'/customers/{typed}')
    assert foreign.status_code == unknown.status_code == 404
    assert 'Bakery' not in foreign.text
    assert _said(foreign) == _said(unknown)


@pytest.mark.parametrize(
    'typed', ['abc', '-1', '1.0', '1e3', '9' * 40, '%00', '%F0%9F%A6%8A', '１', '%2e%2e', '1;drop', "1'--", '²', '%20']
)
async def test_what_can_be_no_customer_says_the_same(portal, emile, typed):
    await portal.sign_in(portal.fabrikam.eve)
    await portal.open_refused(f'/customers/{emile.id}')
    await portal.should_see('There is nothing here')
    foreign = portal.texts()
    await portal.open_refused(f'/customers/{typed}')
    await portal.should_see('There is nothing here')
    assert portal.texts() == foreign


@pytest.mark.parametrize('path', ['/nowhere', '/customers/1/2', '/help/monitor/none', '/help/x', '/api'])
async def test_an_address_that_leads_nowhere_says_so_in_our_words(portal, path):
    await portal.sign_in(portal.northwind.ana)
    await portal.open_refused(path)
    await portal.should_see('There is nothing here')
    assert 'In Progress' in portal.texts(), 'the frame is there to go on from'


async def test_moving_inside_the_page_to_a_foreign_customer_shows_nothing_of_it(portal, emile):
    """Such a move is a message on the socket; no middleware sees it."""
    await portal.sign_in(portal.fabrikam.eve)
    await portal.user.open('/')
    portal.user.navigate.to(f'/customers/{emile.id}')
    await portal.should_see('There is nothing here')
    assert 'Émile’s Bakery' not in portal.texts()


async def test_what_was_taken_away_is_gone_from_a_page_that_is_open(portal, emile):
    ana = portal.northwind.ana
    session = await portal.sign_in(ana)
    await portal.user.open('/')
    await PortalUser.filter(id=ana.id).update(sees_all=False)
    portal.user.navigate.to(f'/customers/{emile.id}')
    await portal.should_see('There is nothing here')
    await PortalUser.filter(id=ana.id).update(sees_all=True)
    await Session.filter(id=session.id).update(ended_at=datetime.now(UTC))
    portal.user.navigate.to('/help')
    portal.user.navigate.to(f'/customers/{emile.id}')
    await portal.should_see('There is nothing here')
    assert 'Émile’s Bakery' not in portal.texts()


async def test_a_slash_at_the_end_leads_to_the_same_page(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    for path in ('/customers/complete/', f'/customers/{emile.id}/', '/help/'):
        assert (await portal.http.get(path)).status_code == 200
    await portal.user.open(f'/customers/{emile.id}/')
    await portal.should_see('Émile’s Bakery')


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('key', ['in-progress', 'complete', 'waiting'])
async def test_a_list_page_holds_its_table_and_asks_for_the_first_rows_at_once(portal, key):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(f'/customers/{key}?q=x&letter=e&sort=seats&dir=desc')
    assert f'/api/ui/tables/{key}/rows?q=x' in answer.text.replace('\\u0026', '&').replace('&amp;', '&')
    client = await portal.user.open(f'/customers/{key}?q=x&letter=e&sort=seats&dir=desc')
    (island,) = [element for element in client.elements.values() if isinstance(element, Island)]
    config = island.props['config']
    assert config['key'] == key
    assert config['asked'] == {'q': 'x', 'letter': 'e', 'sort': 'seats', 'dir': 'desc'}
    headings = [column['heading'] for column in config['columns']]
    assert headings[:4] == ['Customer', 'Licences', 'Account type', 'Products']
    assert {'Your role', 'Admin Console'} <= set(headings)


async def test_complete_has_the_five_icons_and_in_progress_the_status_and_the_rfi(portal):
    await portal.sign_in(portal.northwind.ana)
    kinds = {}
    for key in ('in-progress', 'complete'):
        client = await portal.user.open(f'/customers/{key}')
        (island,) = [element for element in client.elements.values() if isinstance(element, Island)]
        kinds[key] = {column['heading']: column['kind'] for column in island.props['config']['columns']}
    assert kinds['in-progress']['RFI'] == 'rfi'
    assert kinds['in-progress']['Connect status'] == 'text'
    health = [heading for heading, kind in kinds['complete'].items() if kind == 'health']
    assert health[:5] == [
        'Inbound email queue', 'Outbound email queue', 'Journaling queue', 'Journaling connector',
        'Active Directory connector',
    ]  # fmt: skip


async def test_what_is_wrong_in_the_address_of_a_list_is_left_out(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete?q=%25&letter=%C3%A9&sort=password_hash&dir=sideways&end=-3')
    (island,) = [element for element in client.elements.values() if isinstance(element, Island)]
    assert island.props['config']['asked'] == {'q': '%'}


async def test_a_letter_in_the_address_may_be_a_capital(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete?letter=E')
    (island,) = [element for element in client.elements.values() if isinstance(element, Island)]
    assert island.props['config']['asked'] == {'letter': 'e'}


async def test_a_list_spells_out_its_codes_and_says_where_one_begins(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete')
    (island,) = [element for element in client.elements.values() if isinstance(element, Island)]
    config = island.props['config']
    (products,) = [column for column in config['columns'] if column['name'] == 'products_in_short']
    assert products['spelled']['TTP-URL'] == 'URL protection'
    assert (await portal.http.get(config['beginning']['href'])).status_code == 200


async def test_the_head_of_a_list_names_every_module_that_its_table_needs(portal):
    """One that is not named there is asked for only when the one before it has come."""
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get('/customers/complete')
    needed, known = {'table.js'}, set()
    while needed - known:
        name = (needed - known).pop()
        known.add(name)
        needed |= set(re.findall(r"from '\./(\w+\.js)'", (theme.ASSETS / name).read_text()))
    for name in known:
        assert f'rel="modulepreload" href="{theme.asset(name)}"' in answer.text, name


async def test_nothing_in_the_address_of_a_list_becomes_a_script(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get('/customers/complete', params={'q': f'"></script>{SCRIPT}', 'letter': SCRIPT})
    assert answer.status_code == 200
    assert SCRIPT not in answer.text


# -- one customer -----------------------------------------------------------------------------------------------------


async def test_a_name_that_is_a_script_is_shown_as_text(portal):
    customer = await portal.add(portal.northwind.partner, f'{SCRIPT} & Sons', listing=Listing.COMPLETE)
    await portal.sign_in(portal.northwind.ana)
    for path in (f'/customers/{customer.id}', '/', '/noc', '/customers/complete'):
        answer = await portal.http.get(path)
        assert answer.status_code == 200
        assert SCRIPT not in answer.text
    await portal.user.open(f'/customers/{customer.id}')
    await portal.should_see(f'{SCRIPT} & Sons')
    assert not portal.user.find(ui.element).elements & {
        element for element in portal.user.client.elements.values() if SCRIPT in str(element.props.get('innerHTML', ''))
    }


async def test_the_console_button_is_on_for_a_partner_administrator(portal, emile):
    ana = portal.northwind.ana
    emile.console_url = 'https://console.example/emile'
    await emile.save()
    await DelegatedAccess.create(
        partner=portal.northwind.partner, user=ana, customer=emile, role=ConsoleRole.PARTNER_ADMINISTRATOR
    )
    await portal.sign_in(ana)
    await portal.user.open(f'/customers/{emile.id}')
    await portal.should_see('Partner Administrator')
    assert portal.config()['parts']['head']['console'] == {'url': f'/customers/{emile.id}/console'}


@pytest.mark.parametrize(
    ('role', 'url', 'why'),
    [
        (None, 'https://console.example/emile', 'you have none here'),
        ('Reviewer', 'https://console.example/emile', 'yours is Reviewer'),
        (ConsoleRole.PARTNER_ADMINISTRATOR, '', 'not known yet'),
        (ConsoleRole.PARTNER_ADMINISTRATOR, 'javascript:alert(1)', 'not known yet'),
        (ConsoleRole.PARTNER_ADMINISTRATOR, 'http://console.example/emile', 'not known yet'),
    ],
)
async def test_the_console_button_is_off_otherwise_and_says_why(portal, emile, role, url, why):
    ana = portal.northwind.ana
    emile.console_url = url
    await emile.save()
    if role:
        await DelegatedAccess.create(partner=portal.northwind.partner, user=ana, customer=emile, role=role)
    await portal.sign_in(ana)
    await portal.user.open(f'/customers/{emile.id}')
    await portal.should_see(why)
    assert 'url' not in portal.config()['parts']['head']['console']
    # An administrator reads the address among the facts, to correct it; nothing leads there.
    assert not url or {text for text in portal.texts() if url in text} == {url}


async def test_a_live_customer_shows_its_five_signals(portal):
    live = await portal.add(portal.northwind.partner, 'Acme', listing=Listing.COMPLETE)
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/customers/{live.id}')
    await portal.should_see('Nothing is watched yet')
    assert set(portal.config()['parts']['head']['health'].values()) == {Health.NOT_CONFIGURED}


# -- the frame --------------------------------------------------------------------------------------------------------


async def test_every_link_of_the_menu_leads_to_a_page(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    addresses = [address for _, items in MENU for _, address, _ in items]
    assert set(addresses) <= _addresses(client)
    for address in addresses:
        assert (await portal.http.get(address)).status_code == 200


async def test_the_menu_has_the_two_lists_by_their_names(portal):
    await portal.sign_in(portal.northwind.tom)
    client = await portal.user.open('/')
    named = {element.props.get('aria-label'): element.props.get('href') for element in client.elements.values()}
    assert named['Customer | In Progress'] == '/customers/in-progress'
    assert named['Customer | Complete'] == '/customers/complete'


async def test_the_frame_says_who_is_signed_in_and_offers_to_sign_out(portal):
    await portal.sign_in(portal.northwind.tom)
    client = await portal.user.open('/help')
    await portal.should_see('tom@northwind.example')
    await portal.should_see('Sign out')
    actions = {element.props.get('action') for element in client.elements.values()}
    assert '/logout' in actions


async def test_help_elsewhere_opens_beside_the_portal_and_ours_inside_it(portal, monkeypatch):
    await portal.sign_in(portal.northwind.ana)
    for address, expected in (
        ('', ('/help', None, None)),
        ('https://kb.example', ('https://kb.example', '_blank', 'noopener')),
    ):
        monkeypatch.setenv('PORTAL_HELP_URL', address)
        settings.cache_clear()
        client = await portal.user.open('/')
        (link,) = [element for element in client.elements.values() if element._text == 'Help']
        assert tuple(link.props.get(name) for name in ('href', 'target', 'rel')) == expected


async def test_the_product_name_in_the_toolbar_has_a_name_where_it_is_not_shown(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    (brand,) = [element for element in client.elements.values() if 'brand' in element.classes]
    assert brand.props['aria-label'] == 'MSP Portal, Northwind IT'


async def test_a_chosen_theme_is_there_on_the_next_page(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.http.post('/api/ui/theme', json={'theme': 'dark'})
    assert '<meta name="portal-theme" content="dark">' in (await portal.http.get('/')).text
    assert (await PortalUser.get(id=portal.northwind.ana.id)).theme == 'dark'


# -- the wall and the help --------------------------------------------------------------------------------------------


async def test_the_wall_names_its_msp_and_no_customer_before_it_asks(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get('/noc')
    assert 'data-partner="Northwind IT"' in answer.text
    assert 'Bakery' not in answer.text


async def test_help_is_shown_and_its_index_leads_to_articles_that_exist(portal):
    await portal.sign_in(portal.northwind.tom)
    client = await portal.user.open('/help')
    html = ''.join(str(element.props.get('innerHTML', '')) for element in client.elements.values())
    links = set(re.findall(r'href="(/help/[^"#]*)', html))
    assert links
    for link in sorted(links):
        assert (await portal.http.get(link)).status_code == 200, link


async def test_an_article_leads_back_to_the_help(portal):
    await portal.sign_in(portal.northwind.tom)
    for path, backs in (('/help/monitor/states', 1), ('/help', 0)):
        client = await portal.user.open(path)
        assert len([element for element in client.elements.values() if 'back' in element.classes]) == backs


async def test_two_tests_of_one_process_see_one_database_each(portal):
    """The application is started anew for each test; nothing may be opened twice or stay behind."""
    assert await PortalUser.all().count() == 3
    assert (await portal.http.get('/readyz')).json() == {'status': 'ready'}
