import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from models.text import sort_key
from tests.browser.conftest import List, Visitors, eventually, once
from tests.browser.portal import Portal
from tests.conftest import LONG

pytestmark = pytest.mark.browser
WIDE = {'width': 2200, 'height': 1500}  # every row and every column is in the DOM
HEALTH = ('Problem', 'Problem, old reading', 'Unknown', 'Good, old reading', 'Good', 'Not configured')
RFI = ('RFI error', 'RFI incomplete', 'RFI complete', 'RFI not applicable')


def opened(visitors: Visitors, address: str, who: str = 'ana') -> List:
    shown = List(visitors.page(who, address, viewport=WIDE))
    shown.loaded()
    return shown


def search(shown: List, text: str, *, by_go: bool = False) -> None:
    shown.search.fill(text)
    if by_go:
        shown.page.get_by_role('button', name='Go', exact=True).click()
    else:
        shown.search.press('Enter')


# -- finding ----------------------------------------------------------------------------------------------------------


def test_a_customer_is_found_by_search_by_letter_and_by_sorting(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/in-progress')
    everybody = shown.names()
    expect(shown.count).to_have_text(f'{len(everybody)} customers')

    search(shown, 'LODZ')
    shown.expect_names('Łódź Logistics')
    expect(shown.count).to_have_text(f'1 of {len(everybody)} customers')
    search(shown, 'angstrom', by_go=True)
    shown.expect_names('Ångström Labs')
    search(shown, 'quinn-law.example')
    shown.expect_names('Quinn & Partners Law')
    search(shown, 'plu001')
    shown.expect_names('Plum Telecom')
    search(shown, '')
    expect(shown.count).to_have_text(f'{len(everybody)} customers')

    strip = shown.page.get_by_role('navigation', name='By first letter')
    assert strip.get_by_role('link').all_inner_texts() == ['All', *'ABCDEFGHIJKLMNOPQRSTUVWXYZ#']
    strip.get_by_role('link', name='P', exact=True).click()
    shown.expect_names('Pinewood Dental', 'Plum Telecom')
    expect(shown.count).to_have_text(f'2 of {len(everybody)} customers')
    search(shown, 'plum')
    shown.expect_names('Plum Telecom')
    expect(strip.get_by_role('link', name='K', exact=True)).to_have_attribute('aria-disabled', 'true')
    strip.get_by_role('link', name='All', exact=True).click()
    search(shown, '')
    expect(strip.get_by_role('link', name='K', exact=True)).not_to_have_attribute('aria-disabled', 'true')

    shown.header('seats').click()
    shown.header('seats').click()
    expect(shown.page.locator('.ag-row[row-index="0"] .ag-cell[col-id=name]')).to_have_text('Oakridge Schools')


def test_customers_that_begin_with_no_letter_are_under_the_last_sign(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete?q=dent')
    shown.page.get_by_role('link', name='Other first letters').click()
    shown.expect_names('3rd Street Dental')
    shown.page.reload()
    shown.expect_names('3rd Street Dental')


def test_a_search_without_a_match_says_so_and_how_to_widen_it(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete')
    everybody = shown.names()
    search(shown, 'nobody is called this')
    expect(shown.empty).to_contain_text('No customers match “nobody is called this”')
    expect(shown.count).to_have_text(f'0 of {len(everybody)} customers')
    shown.empty.get_by_role('button', name='Show all customers').click()
    shown.expect_names(*everybody)
    expect(shown.empty).to_be_hidden()
    expect(shown.search).to_have_value('')

    shown.page.goto('/customers/complete?q=dental&letter=z')
    expect(shown.empty).to_contain_text('“dental” under the letter Z')
    shown.empty.get_by_role('button', name='All letters').click()
    shown.expect_names('3rd Street Dental')


def test_percent_and_underscore_are_looked_for_as_they_are(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete')
    search(shown, '%')
    shown.expect_names('100% Cotton')
    search(shown, '_')
    shown.expect_names('Snake_case Systems')
    search(shown, '\\')
    expect(shown.empty).to_be_visible()


def test_odd_and_overlong_search_texts_break_nothing(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete')
    everybody = shown.names()
    blank = '\ufeff\u00a0'
    for text in (
        '\u202eabc',
        '\ud83d\udc69\u200d\ud83d\udcbb',
        'e\u0301\u0301\u0301',
        "' OR 1=1 --",
        '{name}',
        '<b>',
        blank,
    ):
        shown.page.goto('/customers/complete')
        shown.loaded()
        search(shown, text)
        expect(shown.page).to_have_url(re.compile(r'complete$' if text == blank else r'\?q='))
        expect(shown.count).to_have_text(re.compile(r'^\d+ (of \d+ )?customers$'))
        expect(shown.page.get_by_role('alert')).to_be_hidden()
    # Longer than the box takes: as pasted by a script, and as typed into the address.
    shown.search.evaluate('box => { box.removeAttribute("maxlength"); box.value = "x".repeat(5000); }')
    shown.search.press('Enter')
    expect(shown.count).to_have_text(f'0 of {len(everybody)} customers')
    expect(shown.page.get_by_role('alert')).to_be_hidden()
    width = shown.page.evaluate('document.documentElement.scrollWidth - innerWidth')
    assert width <= 0, 'a long search text makes the page wider than the window'
    answer = shown.page.goto('/customers/complete?q=' + '%F0%9F%91%A9' * 1250)
    assert answer is not None
    assert answer.status == 200
    expect(shown.count).to_have_text(f'0 of {len(everybody)} customers')
    shown.page.goto('/customers/complete?q=%00%FF%FE')
    expect(shown.count).to_have_text(re.compile(r'customers$'))
    expect(shown.page.get_by_role('alert')).to_be_hidden()


# -- sorting ----------------------------------------------------------------------------------------------------------


def _number(text: str) -> int:
    return int(text.replace(',', ''))


def _health(text: str) -> int:
    return HEALTH.index(text.partition(': ')[2])


def _day(text: str) -> datetime:
    return datetime.strptime(text.replace('Sept', 'Sep'), '%d %b %Y').replace(tzinfo=UTC)


ORDERS: dict[str, Callable[[str], Any]] = {
    'name': sort_key,
    'seats': _number,
    'account_type': str.lower,
    'products_in_short': str.lower,
    'connect_status': str.lower,
    # Whether it was sent back or not: until it was checked it is not complete.
    'rfi': lambda text: RFI.index('RFI incomplete' if text == 'RFI sent back, not complete' else text),
    'role': lambda text: (text == 'None', text.lower()),
    'console': lambda text: 0,
    'account_code': str.lower,
    'domain': str.lower,
    'connect_since': lambda text: 0,
    'contract_start': _day,
    **dict.fromkeys(
        ('inbound_queue', 'outbound_queue', 'journal_queue', 'journal_connector', 'directory_connector', 'worst'),
        _health,
    ),
}


def expect_order(shown: List, column: str, *, descending: bool) -> None:
    def in_order() -> None:
        header = shown.header(column)
        assert header.get_attribute('aria-sort') == ('descending' if descending else 'ascending')
        rows = shown.loaded()
        assert len(rows) > 10
        by_name = sorted(rows, key=lambda row: sort_key(row['name']))
        order = ORDERS[column]
        expected = sorted(by_name if column != 'name' else rows, key=lambda row: order(row[column]), reverse=descending)
        if descending and column != 'name':  # ties stay by name from A to Z; `reverse` keeps their order as it is
            assert expected == sorted(by_name, key=lambda row: order(row[column]), reverse=True)
        assert [row['name'] for row in rows] == [row['name'] for row in expected], column

    eventually(shown.page, in_order)


@pytest.mark.parametrize('address', ['/customers/in-progress', '/customers/complete'])
def test_every_column_sorts_one_way_then_the_other_and_back(visitors: Visitors, address: str) -> None:
    shown = opened(visitors, address)
    shown.page.locator('summary', has_text='Columns').click()
    expect(shown.page.get_by_label('Domain')).to_be_visible()
    ticks = shown.page.locator('details[open] input[type=checkbox]').all()
    for tick in ticks:
        tick.check()
    shown.page.keyboard.press('Escape')
    heads = shown.page.locator('.ag-header-cell')
    once(shown.page, lambda: heads.count() >= len(ticks) - 1)  # those out of view are not drawn
    columns = heads.evaluate_all('cells => cells.map(cell => cell.getAttribute("col-id"))')
    assert set(columns) <= set(ORDERS)
    assert len(columns) >= 10
    expect_order(shown, 'name', descending=False)
    for column in columns:
        if column != 'name':
            shown.header(column).click()
            if column != 'console':
                expect_order(shown, column, descending=False)
        for descending in (True, False) if LONG or column in ('name', 'seats') else (True,):
            shown.header(column).click()
            if column == 'console':  # on or off is all there is to sort by
                word = 'descending' if descending else 'ascending'
                expect(shown.header(column)).to_have_attribute('aria-sort', word)
                eventually(shown.page, lambda descending=descending: _console_order(shown, descending=descending))
            else:
                expect_order(shown, column, descending=descending)


def _console_order(shown: List, *, descending: bool) -> None:
    shown.loaded()
    kinds = shown.page.locator('.ag-cell[col-id=console]').evaluate_all(
        'cells => cells.sort((a, b) => a.closest(".ag-row").getAttribute("row-index") - '
        'b.closest(".ag-row").getAttribute("row-index")).map(cell => (cell.querySelector("form") ? "a form" : "off"))'
    )
    assert len(set(kinds)) == 2
    assert kinds == sorted(kinds, reverse=descending)


# -- columns ----------------------------------------------------------------------------------------------------------


def test_columns_that_were_hidden_resized_and_moved_stay_so_for_the_user(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page('eve', '/customers/complete')
    shown = List(page)
    shown.loaded()
    page.locator('summary', has_text='Columns').click()
    page.get_by_label('Account type').uncheck()
    page.locator('details[open]').get_by_text('Domain', exact=True).click()  # its text is as good as its box
    page.keyboard.press('Escape')
    expect(shown.header('account_type')).to_have_count(0)
    expect(shown.header('domain')).to_be_visible()
    before = shown.header('products_in_short').bounding_box()['width']
    drag(page, shown.header('products_in_short').locator('.ag-header-cell-resize'), dx=90)
    expect_wider = before + 60
    once(page, lambda: shown.header('products_in_short').bounding_box()['width'] > expect_wider)
    drag(
        page,
        shown.header('role'),
        dx=shown.header('seats').bounding_box()['x'] - shown.header('role').bounding_box()['x'],
    )

    # Kept on the server, a moment after the last change.
    def kept() -> None:
        stored = portal.aside("return (await PortalUser.get(email='eve@fabrikam.example')).preferences")
        state = stored.get('columns complete') or {}
        assert 'account_type' in (state.get('columnVisibility') or {}).get('hiddenColIds', [])
        shown_in_order = column_order(page)
        assert [each for each in state['columnOrder']['orderedColIds'] if each in shown_in_order] == shown_in_order
        assert shown_in_order.index('role') < shown_in_order.index('products_in_short')

    eventually(page, kept)
    order = column_order(page)

    page.reload()
    shown.loaded()
    another = List(visitors.page('eve', '/customers/complete'))
    for same in (shown, another):
        same.loaded()
        expect(same.header('account_type')).to_have_count(0)
        expect(same.header('domain')).to_be_visible()
        once(same.page, lambda same=same: column_order(same.page) == order)
        once(same.page, lambda same=same: same.header('products_in_short').bounding_box()['width'] > expect_wider)
    somebody_else = List(visitors.page('ana', '/customers/complete'))
    somebody_else.loaded()
    expect(somebody_else.header('account_type')).to_be_visible()

    another.page.locator('summary', has_text='Columns').click()
    another.page.get_by_role('button', name='Back to the standard columns').click()
    expect(another.header('account_type')).to_be_visible()
    expect(another.header('domain')).to_have_count(0)


_COUNT_LOOKS = """
    window.going = new Set();
    const [begin, end] = [setInterval, clearInterval];
    window.setInterval = (f, ms, ...more) => {
        const one = begin(f, ms, ...more);
        if (ms === 10) going.add(one);
        return one;
    };
    window.clearInterval = (one) => { going.delete(one); end(one); };
"""


def test_a_list_that_is_left_and_come_back_to_leaves_nothing_running(visitors: Visitors) -> None:
    page = visitors.browser_of('ana').new_page()
    page.add_init_script(_COUNT_LOOKS)  # the grid looks for its own scrollbar so often, and did so for ever
    page.goto('/customers/in-progress')
    List(page).loaded()
    for name in ('complete', 'in-progress', 'complete', 'in-progress'):
        page.locator(f'#menu a[href="/customers/{name}"]').evaluate('link => link.click()')
        page.locator(f'.grid[data-table={name}]').wait_for()
        List(page).loaded()
    page.wait_for_function('going.size === 0')


def column_order(page: Page) -> list[str]:
    """The columns as they stand, from left to right."""
    return page.locator('.ag-header-cell').evaluate_all(
        'cells => cells.sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)'
        '.map(cell => cell.getAttribute("col-id"))'
    )


def drag(page: Page, what: Any, *, dx: float) -> None:
    box = what.bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in range(1, 9):
        page.mouse.move(x + dx * part / 8, y)
    page.mouse.up()
