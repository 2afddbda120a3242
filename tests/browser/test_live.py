"""What changes outside is seen by those who may see it, without a reload and without losing one's place."""

import re
import time

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PATIENCE, Line, List, Visitors, eventually, once
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser
FEW = {'width': 1440, 'height': 560}  # not all rows fit


def opened(visitors: Visitors, who: str, address: str = '/customers/complete', **options) -> List:
    shown = List(visitors.page(who, address, **options))
    shown.loaded()
    live(shown.page)
    shown.page.evaluate('window.stillHere = true')
    return shown


def live(page: Page) -> None:
    page.wait_for_function("document.documentElement.dataset.live === 'live'")


def in_order(shown: List) -> list[str]:
    return [row.get('name', '') for row in shown.rows()]


@pytest.mark.alone
def test_a_flip_reaches_every_open_page_that_shows_the_customer_and_no_other(
    visitors: Visitors, portal: Portal
) -> None:
    ana, tom, eve = (opened(visitors, who) for who in ('ana', 'tom', 'eve'))
    board = visitors.page('ana', '/')
    live(board)
    for state, word in (('good', 'Good'), ('bad', 'Problem'), ('unknown', 'Unknown')):
        portal.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': state, 'value': 3})
        for shown in (ana, tom):
            icon = shown.icon('Birch Foundry', 'inbound_queue')
            expect(icon).to_have_accessible_name(f'Inbound email queue: {word}', timeout=2000)
            assert shown.page.evaluate('window.stillHere') is True
        attention = board.get_by_role('region', name='Needs attention now')
        expect(attention.get_by_text('Birch Foundry')).to_have_count(1 if state == 'bad' else 0)
    # Fabrikam has a customer of the same name and code; a reading of its own comes after those of the other.
    portal.post(
        {'customer': 'BIR001', 'monitor': 'outbound_queue', 'state': 'bad'}, partner='fabrikam-managed-services'
    )
    expect(eve.icon('Birch Foundry', 'outbound_queue')).to_have_accessible_name('Outbound email queue: Problem')
    expect(eve.icon('Birch Foundry', 'inbound_queue')).to_have_accessible_name('Inbound email queue: Not configured')
    expect(ana.icon('Birch Foundry', 'outbound_queue')).to_have_accessible_name('Outbound email queue: Not configured')
    # Within 5 s, whose session is over is at sign-in: who was disabled, and who has signed out in another tab.
    visitors.expect_trouble(r'Failed to load resource.*(401|404)', 'WebSocket', 'ERR_ABORTED')
    portal.aside("await (await PortalUser.get(email='tom@northwind.example')).disable(datetime.now(UTC))")
    expect(tom.page).to_have_url(re.compile('/login'), timeout=5000)
    portal.aside("await PortalUser.filter(email='tom@northwind.example').update(disabled_at=None)")
    same = board.context.new_page()
    same.goto('/help')
    same.get_by_label('Ana Lindqvist: account and theme').click()
    same.get_by_role('button', name='Sign out').click()
    expect(board).to_have_url(re.compile('/login'), timeout=5000)


def test_the_title_counts_the_customers_with_a_problem(visitors: Visitors, portal: Portal) -> None:
    shown = opened(visitors, 'eve')
    portal.post(
        {'customer': 'BIR001', 'monitor': 'outbound_queue', 'state': 'good'}, partner='fabrikam-managed-services'
    )
    expect(shown.page).to_have_title('Customers: Complete – MSP Portal')
    portal.post(
        {'customer': 'BIR001', 'monitor': 'outbound_queue', 'state': 'bad'}, partner='fabrikam-managed-services'
    )
    expect(shown.page).to_have_title('1 bad – Customers: Complete – MSP Portal')


def test_what_an_import_adds_or_renames_appears_by_itself(visitors: Visitors, portal: Portal) -> None:
    shown = opened(visitors, 'ana', viewport={'width': 1440, 'height': 1400})  # all rows fit
    before = shown.names()
    file = portal.data / 'more.csv'
    file.write_text(
        'name;account_code;licences;list\n'
        'Baker Street Detectives;BAK221;3;complete\nCedar Clinic East;CED001;61;complete\n'
    )
    portal.command('import-customers', str(file), '--partner', 'northwind-it')
    expected = ['Baker Street Detectives', 'Cedar Clinic East', *(name for name in before if name != 'Cedar Clinic')]
    eventually(shown.page, lambda: _same_members(shown, expected))
    expect(shown.count).to_have_text(f'{len(before) + 1} customers')
    portal.post({'customer': 'BAK221', 'monitor': 'inbound_queue', 'value': 100000})
    expect(shown.icon('Baker Street Detectives', 'inbound_queue')).to_have_accessible_name(
        'Inbound email queue: Problem'
    )
    assert shown.page.evaluate('window.stillHere') is True


def _same_members(shown: List, expected: list[str]) -> None:
    assert sorted(in_order(shown)) == sorted(expected)


def test_scroll_and_focus_stay_with_the_same_customer_when_others_come(visitors: Visitors, portal: Portal) -> None:
    shown = opened(visitors, 'ana', viewport=FEW)
    page = shown.page
    # In the middle: two rows further down it is still seen.
    shown.cell('Granite Mutual', 'seats').evaluate("cell => cell.scrollIntoView({ block: 'center' })")
    shown.cell('Granite Mutual', 'seats').click()
    expect(shown.cell('Granite Mutual', 'seats')).to_be_focused()
    before = shown.cell('Granite Mutual').bounding_box()
    row = _row_of_focus(page)
    # Two that are filed before it, made beside the server.
    portal.aside("""
        northwind = await Partner.get(slug='northwind-it')
        from models.rfi import RfiState
        for name, code in (('Aardvark Removals', 'AAR001'), ('Abacus Tax', 'ABA001')):
            await Customer.add(
                northwind, name=name, account_code=code, listing=Listing.COMPLETE, rfi=RfiState.NOT_APPLICABLE
            )
    """)
    once(page, lambda: _row_of_focus(page) == row + 2 or _index_of(shown, 'Granite Mutual') == row + 2)
    once(page, lambda: _focused_customer(page) == 'Granite Mutual')

    def in_place() -> None:
        after = shown.cell('Granite Mutual').bounding_box()
        assert abs(after['y'] - before['y']) <= 2 * 36 + 2, 'the place was lost'

    eventually(page, in_place)
    page.keyboard.press('ArrowDown')
    once(page, lambda: _focused_customer(page) not in ('', 'Granite Mutual'))


def _index_of(shown: List, name: str) -> int:
    return next((row['index'] for row in shown.rows() if row.get('name') == name), -1)


def _row_of_focus(page: Page) -> int:
    return page.evaluate("Number(document.activeElement?.closest('.ag-row')?.getAttribute('row-index') ?? -1)")


def _focused_customer(page: Page) -> str:
    return page.evaluate("""() => {
      const row = document.activeElement?.closest('.ag-row')?.getAttribute('row-id');
      return document.querySelector(`.ag-row[row-id="${row}"] .ag-cell[col-id=name]`)?.innerText.trim() ?? '';
    }""")


@pytest.mark.parametrize('by', ['pointer', 'focus'])
def test_sorted_by_a_state_nothing_moves_while_somebody_is_in_the_rows(
    visitors: Visitors, portal: Portal, by: str
) -> None:
    portal.post({'customer': 'WHA001', 'monitor': 'journal_queue', 'state': 'good'})
    shown = opened(visitors, 'ana', '/customers/complete?sort=journal_queue')
    page = shown.page
    before = in_order(shown)
    assert before[0] != 'Wharf Traders'
    if by == 'pointer':
        shown.cell('Granite Mutual', 'seats').hover()
    else:
        shown.cell('Granite Mutual', 'seats').click()
        page.mouse.move(5, 5)
    portal.post({'customer': 'WHA001', 'monitor': 'journal_queue', 'state': 'bad'})
    expect(shown.icon('Wharf Traders', 'journal_queue')).to_have_accessible_name('Journaling queue: Problem')
    expect(shown.pill).to_have_text('1 moved')
    page.wait_for_timeout(2500)  # longer than the pause between two re-orderings
    assert in_order(shown) == before
    if by == 'pointer':
        page.mouse.move(5, 5)
    else:
        shown.pill.click()
    expect(shown.pill).to_be_hidden()
    once(page, lambda: 'Wharf Traders' in in_order(shown)[: before.index('Wharf Traders')])
    assert sorted(in_order(shown)) == sorted(before)


def test_a_change_between_reading_the_rows_and_the_first_word_of_the_socket_is_not_lost(
    visitors: Visitors, portal: Portal
) -> None:
    """The rows are asked for in the head of the page, long before the socket is open."""
    portal.post({'customer': 'BIR001', 'monitor': 'journal_queue', 'state': 'good'})
    context = visitors.browser_of('ana')
    context.add_init_script("""
        const Real = WebSocket;
        window.WebSocket = class extends Real {
          constructor(address, ...more) {
            super(window.mayListen ? address : String(address).replace(/\\/live$/, '/not-yet'), ...more);
          }
        };
    """)
    visitors.expect_trouble('not-yet')
    shown = List(context.new_page())
    shown.page.goto('/customers/complete')
    shown.loaded()
    expect(shown.icon('Birch Foundry', 'journal_queue')).to_have_accessible_name('Journaling queue: Good')
    portal.post({'customer': 'BIR001', 'monitor': 'journal_queue', 'state': 'bad'})
    shown.page.evaluate('window.mayListen = true')
    live(shown.page)
    expect(shown.icon('Birch Foundry', 'journal_queue')).to_have_accessible_name('Journaling queue: Problem')


def test_a_flip_draws_its_own_cell_anew_and_leaves_the_focus_in_the_others(visitors: Visitors, portal: Portal) -> None:
    portal.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'good'})
    shown = opened(visitors, 'ana')
    shown.cell('Birch Foundry', 'console').get_by_role('button').focus()
    cells = (
        "row => [...row.closest('.ag-row').querySelectorAll('.cell > *, .cell')].forEach(one => { one.old = true; })"
    )
    shown.cell('Birch Foundry', 'console').evaluate(cells)
    portal.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'bad'})
    icon = shown.icon('Birch Foundry', 'inbound_queue')
    expect(icon).to_have_accessible_name('Inbound email queue: Problem')
    assert icon.evaluate('one => one.old') is None
    for column in ('console', 'seats', 'outbound_queue', 'account_type'):
        assert shown.cell('Birch Foundry', column).evaluate("one => one.querySelector('.cell').old") is True
    expect(shown.cell('Birch Foundry', 'console').get_by_role('button')).to_be_focused()


def test_many_changes_at_once_move_nothing_under_the_pointer_and_say_so(visitors: Visitors, portal: Portal) -> None:
    portal.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'good'})
    shown = opened(visitors, 'ana', '/customers/complete?sort=inbound_queue')
    before = in_order(shown)
    shown.cell(before[2], 'seats').hover()
    portal.aside("""
        from models.monitor import Reading
        birch = await Customer.get(account_code='BIR001', partner__slug='northwind-it')
        now = datetime.now(UTC)
        await Monitor.record([Reading(birch.id, MonitorKind.INBOUND_QUEUE, now, state=MonitorState.BAD)])
    """)
    expect(shown.pill).to_have_text('Order has changed')
    expect(shown.icon('Birch Foundry', 'inbound_queue')).to_have_accessible_name('Inbound email queue: Problem')
    assert in_order(shown) == before
    shown.pill.click()
    once(shown.page, lambda: in_order(shown) != before)


def test_what_a_list_is_told_is_neither_overtaken_nor_waited_for(visitors: Visitors) -> None:
    page = visitors.browser_of('ana').new_page()
    line, counted, read, late, held = Line(page), list[str](), list[str](), list[Route](), list[Route]()
    page.on('request', lambda request: counted.append(request.url) if '/counts' in request.url else None)
    page.on('requestfinished', lambda request: read.append(request.url) if '/rows?' in request.url else None)
    page.route('**/table_place.js', lambda route: late.append(route))
    page.route('**/rows?ids=*', lambda route: held.append(route))
    page.goto('/customers/in-progress?sort=connect_status', wait_until='commit')
    # The rows were read, and somebody comes before there is a list that could hear of it: they are read once more.
    once(page, lambda: bool(read and late) and line.n >= 0)
    line.say({1: {}}, lists={'in-progress': [1]})
    late.pop().continue_()
    once(page, lambda: len(read) >= 2)
    shown = List(page)
    shown.loaded()
    cell = shown.cell('Plum Telecom', 'connect_status')
    plum = int(cell.evaluate('cell => cell.closest(".ag-row").getAttribute("row-id")'))
    cell.hover()  # nothing moves under it: when much has changed, the rows are asked for by their ids
    line.say_many()
    once(page, lambda: bool(held))
    route = held[0]
    answer = route.fetch()
    told = answer.json()
    told['rows'] = [row | {'seats': 4711} if row['id'] == plum else row for row in told['rows']]
    line.say({plum: {'connect_status': 'Told later'}})
    expect(cell).to_have_text('Told later')
    route.fulfill(response=answer, json=told)
    expect(shown.cell('Plum Telecom', 'seats')).to_have_text('4,711')
    expect(cell).to_have_text('Told later')
    # While somebody comes or goes all the time, it is counted all the same.
    counted.clear()
    began, said = time.monotonic(), 0
    while said < 100 or not counted:
        line.say({plum: {}}, lists={'in-progress': [plum]})
        said += 1
        page.wait_for_timeout(20)
        assert time.monotonic() - began < 4 * PATIENCE, 'it is not counted'
    assert len(counted) <= 2 + time.monotonic() - began, said


def test_an_icon_tells_value_threshold_since_and_last_read_to_pointer_and_keyboard(
    visitors: Visitors, portal: Portal
) -> None:
    portal.post({'customer': 'CED001', 'monitor': 'inbound_queue', 'value': 1234567, 'reason': 'The queue is long'})
    shown = opened(visitors, 'ana', '/customers/complete?q=ced001')
    page = shown.page
    name = shown.names()[0]
    icon = shown.icon(name, 'inbound_queue')
    tip = page.get_by_role('tooltip')
    icon.hover()
    for part in (
        'Inbound email queue: Problem',
        'Waiting now',
        '1,234,567',
        'Problem above',
        'Since',
        'Last read',
        'The queue is long',
    ):
        expect(tip).to_contain_text(part)
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()

    shown.cell(name, 'products_in_short').click()
    page.mouse.move(5, 5)
    page.keyboard.press('ArrowRight')
    expect(shown.cell(name, 'inbound_queue')).to_be_focused()
    expect(tip).to_contain_text('1,234,567')
    expect(shown.cell(name, 'inbound_queue')).to_have_attribute('aria-describedby', 'tip')
    page.keyboard.press('Escape')
    expect(tip).to_be_hidden()
    page.keyboard.press('Home')
    expect(shown.cell(name)).to_be_focused()
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', level=1)).to_have_text(name)
