"""Lists by keyboard and on small screens: nothing is out of reach, nothing lies over what has the focus."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import List, Visitors, eventually, go_back, once
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser
PHONE: ViewportSize = {'width': 390, 'height': 844}
DETAILS = 'details.menu[open]'


def opened(visitors: Visitors, address: str = '/customers/complete', who: str = 'ana', **options: Any) -> List:
    shown = List(visitors.page(who, address, **options))
    shown.loaded()
    return shown


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def steps(page: Page) -> int:
    return page.evaluate('history.length')


def in_the_grid(page: Page) -> bool:
    return page.evaluate("Boolean(document.activeElement.closest('.grid'))")


# -- focus ------------------------------------------------------------------------------------------------------------


def test_tab_stops_once_at_the_grid_and_arrows_walk_in_it(visitors: Visitors) -> None:
    shown = opened(visitors)
    page = shown.page
    page.evaluate("document.querySelector('main').insertAdjacentHTML('afterend', '<button id=after>After</button>')")
    page.locator('.letters a').last.focus()
    press(page, 'Tab')
    expect(shown.header('name')).to_be_focused()
    press(page, 'Tab')
    expect(page.locator('#after')).to_be_focused()
    press(page, 'Shift+Tab')
    once(page, lambda: in_the_grid(page))
    shown.cell('Granite Mutual', 'seats').click()
    press(page, 'ArrowDown', 'Tab')
    expect(page.locator('#after')).to_be_focused()
    shown.cell('Granite Mutual', 'seats').click()
    press(page, 'Shift+Tab')
    expect(page.locator('.letters a').last).to_be_focused()


def test_headings_rfi_and_console_tell_the_keyboard_what_they_tell_the_pointer(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/in-progress?q=lodz')
    page, tip = shown.page, shown.page.get_by_role('tooltip')
    shown.cell('Łódź Logistics', 'connect_status').click(position={'x': 3, 'y': 30})
    page.mouse.move(5, 5)
    press(page, 'ArrowRight')
    expect(tip).to_have_text(re.compile('^RFI'))
    expect(shown.cell('Łódź Logistics', 'rfi')).to_have_attribute('aria-describedby', 'tip')
    press(page, 'ArrowRight', 'ArrowRight')
    expect(tip).to_contain_text('Delegated access needs the role Partner Administrator')
    expect(shown.cell('Łódź Logistics', 'console')).to_have_attribute('aria-describedby', 'tip')
    press(page, 'Home', 'ArrowRight', 'ArrowRight', 'ArrowRight')
    expect(tip).to_contain_text('UEM – Unified Email Management')
    press(page, 'Tab')
    expect(tip).to_be_hidden()

    page.goto('/customers/complete')
    shown.loaded()
    shown.header('products_in_short').click()
    page.mouse.move(5, 5)
    press(page, 'ArrowRight')
    expect(tip).to_have_text('Inbound email queue')
    press(page, 'Enter')
    expect(page).to_have_url(re.compile('sort=inbound_queue'))


def test_escape_takes_away_a_tip_wherever_the_focus_is(visitors: Visitors) -> None:
    shown = opened(visitors)
    tip = shown.page.get_by_role('tooltip')
    shown.search.focus()
    shown.icon('Granite Mutual', 'inbound_queue').hover()
    expect(tip).to_contain_text('Last read')
    assert shown.page.evaluate("Boolean(document.querySelector('.tip').closest('main'))"), 'outside the landmarks'
    press(shown.page, 'Escape')
    expect(tip).to_be_hidden()
    expect(shown.search).to_be_focused()


def test_what_is_not_configured_has_no_threshold_and_times_say_their_zone(visitors: Visitors, portal: Portal) -> None:
    portal.post({'customer': 'CED001', 'monitor': 'outbound_queue', 'state': 'good', 'value': 3})
    shown = opened(visitors, timezone_id='Asia/Tokyo')
    tip = shown.page.get_by_role('tooltip')
    shown.icon('Cedar Clinic', 'inbound_queue').hover()
    expect(tip).to_contain_text('Inbound email queue: Not configuredLast readnever')
    expect(tip).not_to_contain_text('Problem above')
    shown.icon('Cedar Clinic', 'outbound_queue').hover()
    expect(tip).to_contain_text('Problem above')
    expect(tip).to_contain_text('GMT+9')


def test_menus_close_by_escape_and_when_the_focus_goes_on(visitors: Visitors) -> None:
    shown = opened(visitors)
    page = shown.page
    person = page.locator('summary[title="You and the theme"]')
    person.focus()
    press(page, 'Enter', 'Tab', 'Escape')
    expect(page.locator(DETAILS)).to_have_count(0)
    expect(person).to_be_focused()

    columns = page.locator('summary', has_text='Columns')
    columns.focus()
    press(page, 'Enter')
    expect(page.locator(DETAILS)).to_have_count(1)
    export = page.locator('summary', has_text='Export')
    for _ in range(len(page.locator(DETAILS).locator('input, button').all()) + 5):
        press(page, 'Tab')
        if export.evaluate('one => one === document.activeElement'):
            break
    expect(export).to_be_focused()
    expect(page.locator(DETAILS)).to_have_count(0)

    button, menu = page.get_by_role('button', name='Menu'), page.locator('#menu')
    button.focus()
    press(page, 'Enter')
    expect(menu.get_by_role('link').first).to_be_focused()
    press(page, 'Shift+Tab')
    expect(button).to_be_focused()
    expect(menu).to_be_visible()


def test_the_drawer_closes_when_the_focus_leaves_it(visitors: Visitors) -> None:
    page = visitors.page('ana', '/help')
    page.get_by_role('button', name='Menu').click()
    menu = page.locator('#menu')
    expect(menu.get_by_role('link').first).to_be_focused()
    page.locator('.brand').focus()
    expect(menu).to_be_hidden()
    expect(page.get_by_role('button', name='Menu')).to_have_attribute('aria-expanded', 'false')


def test_a_page_that_was_moved_to_begins_at_its_heading(visitors: Visitors) -> None:
    shown = opened(visitors)
    page = shown.page
    page.get_by_role('button', name='Menu').click()
    page.get_by_role('link', name='Customer | In Progress').click()
    heading = page.get_by_role('heading', level=1)
    expect(heading).to_have_text('Customers: In Progress')
    expect(heading).to_be_focused()
    go_back(page, '/customers/in-progress')
    expect(heading).to_have_text('Customers: Complete')
    expect(heading).to_be_focused()
    page.goto('/customers/complete?q=nobody+at+all')
    page.get_by_role('button', name='Show all customers').click()
    expect(shown.search).to_be_focused()


# -- steps of the history ---------------------------------------------------------------------------------------------


def test_asking_for_the_same_again_is_no_step_of_the_history(visitors: Visitors) -> None:
    shown = opened(visitors)
    page, before = shown.page, steps(shown.page)
    strip = page.get_by_role('navigation', name='By first letter')
    strip.get_by_role('link', name='All', exact=True).click()
    page.get_by_role('button', name='Go', exact=True).click()
    shown.loaded()
    assert steps(page) == before
    for _ in range(2):
        strip.get_by_role('link', name='G', exact=True).click()
        expect(page).to_have_url(re.compile(r'\?letter=g$'))
        shown.loaded()
    assert steps(page) == before + 1


def test_a_letter_that_is_off_does_nothing_even_by_script(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete?q=granite')
    off = shown.page.get_by_role('navigation', name='By first letter').get_by_role('link', name='Z', exact=True)
    expect(off).to_have_attribute('aria-disabled', 'true')
    assert off.get_attribute('href') is None
    off.evaluate('link => link.click()')
    shown.page.wait_for_timeout(200)
    assert shown.page.url.endswith('?q=granite')
    shown.expect_names('Granite Mutual')


def test_a_capital_letter_in_the_address_is_marked(visitors: Visitors) -> None:
    shown = opened(visitors, '/customers/complete?letter=G')
    current = shown.page.locator('.letters [aria-current]')
    expect(current).to_have_text('G')
    assert all(name.startswith('G') for name in shown.names())


# -- what is said above the rows --------------------------------------------------------------------------------------


def test_nothing_is_said_above_in_progress_when_nobody_waits(visitors: Visitors, portal: Portal) -> None:
    portal.aside("await Customer.filter(partner__slug='fabrikam-managed-services', listing='waiting').delete()")
    shown = opened(visitors, '/customers/in-progress', 'eve')
    expect(shown.page.locator('.notice').first).to_be_hidden()
    assert 'undefined' not in shown.page.locator('.table-island').inner_text()


def test_one_customer_is_no_customers(visitors: Visitors, portal: Portal) -> None:
    portal.aside("""
        tom = await PortalUser.get(email='tom@northwind.example')
        birch = await Customer.get(account_code='BIR001', partner_id=tom.partner_id)
        await CustomerAccess.filter(user=tom).exclude(customer=birch).delete()
    """)
    shown = opened(visitors, who='tom')
    expect(shown.count).to_have_text('1 customer')


# -- small screens ----------------------------------------------------------------------------------------------------


def test_what_a_phone_leaves_out_changes_nothing_of_what_was_arranged(visitors: Visitors, portal: Portal) -> None:
    kept = "return ((await PortalUser.get(email='ana@northwind.example')).preferences or {}).get('columns complete')"
    shown = opened(visitors)
    page = shown.page
    columns = page.locator('summary', has_text='Columns')
    columns.click()
    page.get_by_label('Account type').uncheck()
    expect(shown.header('account_type')).to_have_count(0)
    eventually(page, lambda: _holds(portal.aside(kept)))
    before = portal.aside(kept)
    press(page, 'Escape')
    page.set_viewport_size(PHONE)
    expect(shown.header('worst')).to_be_visible()
    expect(shown.header('role')).to_have_count(0)
    expect(columns).to_be_hidden()
    page.set_viewport_size({'width': 1440, 'height': 900})
    expect(shown.header('role')).to_be_visible()
    expect(shown.header('worst')).to_have_count(0)
    expect(shown.header('account_type')).to_have_count(0)
    page.wait_for_timeout(900)  # longer than it takes until an arrangement is kept
    assert portal.aside(kept) == before
    columns.click()
    page.get_by_role('button', name='Back to the standard columns').click()
    expect(shown.header('account_type')).to_be_visible()
    expect(columns).to_be_focused()
    once(page, lambda: portal.aside(kept) is None)
    page.wait_for_timeout(900)
    assert portal.aside(kept) is None


def _holds(found: Any) -> None:
    assert found


@pytest.mark.parametrize('size', [PHONE, {'width': 720, 'height': 800}, {'width': 360, 'height': 225}])
def test_every_list_shows_rows_on_a_small_screen(visitors: Visitors, size: dict[str, int]) -> None:
    for key in ('in-progress', 'complete'):
        shown = opened(visitors, f'/customers/{key}', viewport=size)
        page = shown.page
        row = page.locator('.ag-row').first
        row.scroll_into_view_if_needed()
        expect(row).to_be_in_viewport(ratio=0.9)
        eventually(page, lambda page=page: _in_place(page))


def _in_place(page: Page) -> None:
    assert page.locator('.letters').evaluate('strip => strip.offsetHeight') >= 24
    assert page.evaluate('document.documentElement.scrollWidth - innerWidth') <= 0
    cut = page.locator('.ag-header-cell-text').evaluate_all(
        'all => all.filter((text) => text.scrollWidth > text.clientWidth).map((text) => text.innerText)'
    )
    assert not cut, cut
    tops = page.locator('.table-tools summary:visible').evaluate_all(
        'all => all.map(one => one.offsetParent.offsetTop)'
    )
    assert len(set(tops)) == 1, 'the menus are on one line'


def test_rows_reach_the_edge_however_narrow_their_columns_are(visitors: Visitors) -> None:
    shown = opened(visitors, viewport={'width': 2300, 'height': 900})
    apart = """() => ['.grid', '.ag-center-cols-container .ag-row'].map(
        each => document.querySelector(each).getBoundingClientRect().right).reduce((a, b) => Math.abs(a - b))"""
    once(shown.page, lambda: shown.page.evaluate(apart) <= 1)


@pytest.mark.parametrize('address', ['/customers/complete', '/connect'])
def test_whoever_types_before_the_page_is_whole_goes_on_typing(visitors: Visitors, address: str) -> None:
    page = visitors.browser_of('ana').new_page()
    held: list[Any] = []
    page.route('**/*dompurify*', lambda route: held.append(route))  # the page framework begins when it has this
    page.goto(address, wait_until='commit')
    search = page.get_by_role('searchbox')
    search.press_sequentially('mo')
    expect(page.locator('#early')).to_have_count(1)
    once(page, lambda: held)
    page.route('**/*dompurify*', lambda route: route.continue_())  # whatever comes later
    for route in held:
        route.continue_()
    expect(page.locator('#early')).to_have_count(0)
    expect(search).to_be_focused()
    page.keyboard.type('reau')
    expect(search).to_have_value('moreau')
