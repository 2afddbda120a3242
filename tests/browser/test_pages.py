"""What holds for every page: names are only ever text, and keyboard and screen readers get along.

That no page asks another host and that no console shows an error is checked in every test (`Visitors`).
"""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import MARKUP, QUOTED, List, Visitors, once
from tests.browser.portal import Portal
from tests.conftest import LONG

pytestmark = pytest.mark.browser


def expect_only_text(page: Page) -> None:
    """Nothing of the names has become an element (a dialog would fail the test as well)."""
    assert page.locator('img[src=x]').count() == 0
    scripts = page.locator('script').evaluate_all('all => all.map(one => one.textContent.slice(0, 20))')
    assert not [script for script in scripts if script.startswith('alert(')]
    assert page.locator('b', has_text='bold reason').count() == 0


def test_names_with_markup_are_text_everywhere(visitors: Visitors, portal: Portal) -> None:
    reason = '<b>bold reason</b><img src=x onerror=alert(3)>'
    for code in ('MARK01', 'QUO001'):
        portal.post({'customer': code, 'monitor': 'inbound_queue', 'state': 'bad', 'value': 5, 'reason': reason})
    for address, name in (('/customers/complete?q=alert(1)', MARKUP), ('/customers/complete?q=onerror', QUOTED),
                          ('/customers/in-progress?q=alert(1)', f'{MARKUP} in Connect')):  # fmt: skip
        shown = List(visitors.page('ana', address))
        shown.expect_names(name)
        expect_only_text(shown.page)
        if 'complete' in address:
            shown.icon(name, 'inbound_queue').hover()
            expect(shown.page.get_by_role('tooltip')).to_contain_text(reason)
            expect_only_text(shown.page)
        shown.cell(name, 'console').get_by_role('button').hover()
        shown.cell(name).get_by_role('link').click()
        expect(shown.page.get_by_role('heading', level=1)).to_have_text(name)
        expect(shown.page).to_have_title(re.compile(re.escape(name)))
        expect_only_text(shown.page)
        shown.page.reload()
        expect(shown.page.get_by_role('heading', level=1)).to_have_text(name)
        expect_only_text(shown.page)
    board = visitors.page('ana', '/')
    expect(board.get_by_role('region', name='Needs attention now')).to_contain_text(QUOTED)
    wall = visitors.page('ana', '/noc')
    expect(wall.get_by_role('region', name='Problems now')).to_contain_text(MARKUP)
    for page in (board, wall):
        expect_only_text(page)
    shown.page.goto('/customers/complete?q=<img src=x onerror=alert(4)><b>bold reason')
    expect(shown.empty).to_contain_text('<img src=x onerror=alert(4)>')
    expect_only_text(shown.page)


def test_on_a_phone_texts_end_where_their_cell_does_and_a_lost_server_is_told_in_words(visitors: Visitors) -> None:
    visitors.expect_trouble('Failed to load resource')
    page = visitors.page('ana', '/orders', viewport={'width': 390, 'height': 844})
    expect(page.locator('#early')).to_have_count(0)
    expect(page.locator('.marked').first).to_be_visible()
    right = 'getBoundingClientRect().right'
    room = f"all => all.map(one => one.closest('.ag-cell').{right} - one.lastChild.{right})"
    once(page, lambda: min(page.locator('.marked').evaluate_all(room)) >= 0)
    # A name from right to left that is too long loses its end as well, not its beginning.
    expect(page.locator('.cell-name').first).to_have_attribute('dir', 'auto')
    page.route('**/api/ui/tables/**', lambda route: route.abort())
    page.get_by_role('searchbox').fill('nobody')
    page.keyboard.press('Enter')
    expect(page.get_by_text('The list cannot be read: the server does not answer.')).to_be_visible()


def test_the_menu_and_a_list_are_used_by_keyboard_alone(visitors: Visitors) -> None:
    page = visitors.page('ana', '/')
    expect(page.locator('#live-dot')).to_have_text('Live')
    menu, button = page.locator('#menu'), page.get_by_role('button', name='Menu')
    page.keyboard.press('Tab')
    expect(button).to_be_focused()
    page.keyboard.press('Enter')
    expect(menu).to_be_visible()
    expect(button).to_have_attribute('aria-expanded', 'true')
    page.keyboard.press('Escape')
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press('Space')
    expect(menu.get_by_role('link').first).to_be_focused()
    for _ in range(30):
        if page.evaluate('document.activeElement.textContent') == 'Complete':
            break
        page.keyboard.press('Tab')
    page.keyboard.press('Enter')
    expect(page).to_have_url(re.compile('/customers/complete$'))
    expect(menu).to_be_hidden()
    shown = List(page)
    shown.loaded()
    page.keyboard.press('/')
    expect(shown.search).to_be_focused()
    page.keyboard.type('granite')
    page.keyboard.press('Enter')
    shown.expect_names('Granite Mutual')
    shown.loaded()  # counted as well: by then, the letters that lead nowhere are off
    for _ in range(60):  # Go, the menus, the letters, the header of the grid, its first row
        page.keyboard.press('Tab')
        if page.evaluate("Boolean(document.activeElement.closest('.ag-header-cell'))"):
            break
    page.keyboard.press('ArrowDown')
    expect(shown.cell('Granite Mutual')).to_be_focused()
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', level=1)).to_have_text('Granite Mutual')


@pytest.mark.parametrize(('theme', 'width'), [('dark', 1440), ('light', 390), *([('light', 1440)] if LONG else [])])
def test_axe_finds_nothing_serious_on_any_page(visitors: Visitors, portal: Portal, theme: str, width: int) -> None:
    portal.post(
        {'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'bad'},
        {'customer': 'BIR001', 'monitor': 'journal_queue', 'state': 'good'},
    )
    options = {'color_scheme': theme, 'viewport': {'width': width, 'height': 900}}
    door = visitors.context(**options).new_page()
    door.goto('/login')
    found = serious(door, '/login')
    page = visitors.page('ana', '/', **options)
    assert page.evaluate('getComputedStyle(document.documentElement).colorScheme') == theme
    birch = portal.aside("return (await Customer.get(account_code='BIR001', partner__slug='northwind-it')).id")
    for address in (
        '/', '/customers/in-progress', '/customers/complete', '/customers/complete?q=nothing+here',
        f'/customers/{birch}', '/help/connect/journaling', '/noc',
        *{('dark', 1440): ('/access', '/customers/import')}.get((theme, width), ('/settings/templates',)),
    ):  # fmt: skip
        page.goto(address)
        expect(page.locator('html')).to_have_attribute('data-live', 'live')
        if re.match('/customers/(in-progress|complete)', address):
            List(page).loaded()
        found += serious(page, address)
    calm = visitors.page('eve', '/noc', **options)  # nothing of hers is wrong everywhere
    expect(calm.locator('.wall-tally .tone-calm').first).to_be_visible()
    found += serious(calm, 'a wall with good signals')
    page.goto('/customers/complete')
    shown = List(page)
    shown.loaded()
    page.get_by_role('button', name='Menu').click()
    found += serious(page, 'the menu')
    page.keyboard.press('Escape')
    if width > 600:  # on a phone there are no columns to choose, and nothing to hover with
        page.locator('summary', has_text='Columns').click()
        expect(page.get_by_label('Domain')).to_be_visible()
        found += serious(page, 'the choice of columns')
        page.keyboard.press('Escape')
        shown.icon('Birch Foundry', 'inbound_queue').hover()
        expect(page.get_by_role('tooltip')).to_contain_text('Last read')
        found += serious(page, 'the details of an icon')
    assert not found, '\n'.join(found)


def serious(page: Page, where: str) -> list[str]:
    for _ in range(4):
        # While axe looks, the page hears nothing; one that has become stale for it is grey on purpose: it looks again.
        expect(page.locator('html:not([data-stale=yes])')).to_have_count(1)
        violations = Axe().run(page).response['violations']
        if page.locator('html[data-stale=yes]').count() == 0:
            break
    return [
        f'{where}: {one["id"]} ({one["impact"]}): {node["html"][:160]} {node["failureSummary"][:200]}'
        for one in violations
        if one['impact'] in ('serious', 'critical')
        for node in one['nodes'][:3]
    ]
