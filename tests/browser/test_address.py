"""Search, letter and sort live in the address; Back undoes each step and finds the place again."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import List, Visitors, eventually, go_back
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def many(portal: Portal) -> int:
    """Hundreds of customers more than the demo has, made beside the running server."""
    return int(re.findall(r'[\d,]+', portal.command('demo', '--customers', '600', '--partner', 'northwind-it'))[0])


def opened(visitors: Visitors, address: str) -> List:
    shown = List(visitors.page('ana', address))
    shown.loaded()
    return shown


def expect_asked(page: Page, **asked: str) -> None:
    def same() -> None:
        assert {k: v[0] for k, v in parse_qs(urlsplit(page.url).query).items()} == asked

    eventually(page, same)


def scroll_of(page: Page) -> float:
    return page.evaluate("document.querySelector('.ag-body-viewport')?.scrollTop ?? -1")


def test_the_address_holds_search_letter_and_sort_and_back_undoes_each_step(visitors: Visitors, many: int) -> None:
    shown = opened(visitors, '/customers/complete')
    page, seen = shown.page, []
    steps = [
        (lambda: (shown.search.fill('ltd'), shown.search.press('Enter')), {'q': 'ltd'}),
        (lambda: page.get_by_role('link', name='B', exact=True).click(), {'q': 'ltd', 'letter': 'b'}),
        (lambda: shown.header('seats').click(), {'q': 'ltd', 'letter': 'b', 'sort': 'seats'}),
        (lambda: shown.header('seats').click(), {'q': 'ltd', 'letter': 'b', 'sort': 'seats', 'dir': 'desc'}),
    ]
    before = [({}, shown.names(), shown.count.inner_text())]
    for step, asked in steps:
        step()
        expect_asked(page, **asked)
        eventually(page, lambda: _changed(shown, before[-1][1]))
        before.append((asked, shown.names(), shown.count.inner_text()))
        seen.append(asked)
    assert int(before[-1][2].split()[0]) > 1

    page.reload()
    shown.expect_names(*before[-1][1])
    fresh = List(page.context.new_page())
    fresh.page.goto(page.url)
    fresh.expect_names(*before[-1][1])
    expect(fresh.search).to_have_value('ltd')
    expect(fresh.count).to_have_text(before[-1][2])

    for asked, names, count in reversed(before[:-1]):
        page.go_back()
        expect_asked(page, **asked)
        shown.expect_names(*names)
        expect(shown.count).to_have_text(count)
        expect(shown.search).to_have_value(asked.get('q', ''))
    page.go_forward()
    expect_asked(page, q='ltd')
    shown.expect_names(*before[1][1])


def _changed(shown: List, before: list[str]) -> None:
    assert [row.get('name') for row in shown.loaded()] != before


def test_back_from_a_customer_restores_search_letter_sort_and_scroll(visitors: Visitors, many: int) -> None:
    shown = opened(visitors, '/customers/complete')
    page = shown.page
    shown.header('seats').click()
    expect_asked(page, sort='seats')
    shown.search.fill('a')
    shown.search.press('Enter')
    expect_asked(page, sort='seats', q='a')
    shown.loaded()
    page.locator('.ag-center-cols-container').hover()
    page.mouse.wheel(0, 6200)  # beyond the first block
    eventually(page, lambda: _at(page, 6200))  # the wheel has come to rest
    shown.loaded()
    first = shown.names()
    place = scroll_of(page)
    opens = shown.rows()[len(first) // 2]['name']
    shown.cell(opens).get_by_role('link').click()
    expect(page.get_by_role('heading', level=1)).to_have_text(opens)
    go_back(page, r'/customers/\d+')
    expect_asked(page, sort='seats', q='a')
    expect(shown.search).to_have_value('a')
    eventually(page, lambda: _at(page, place))
    assert opens in shown.names()
    expect(shown.header('seats')).to_have_attribute('aria-sort', 'ascending')

    page.go_forward()
    expect(page.get_by_role('heading', level=1)).to_have_text(opens)
    page.reload()
    expect(page.get_by_role('heading', level=1)).to_have_text(opens)
    page.go_back()
    eventually(page, lambda: _at(page, place))
    assert opens in shown.names()


def _at(page: Page, place: float) -> None:
    assert scroll_of(page) == place


@pytest.mark.parametrize(
    'query',
    [
        'sort=nothing',
        'sort=seats&dir=sideways',
        'letter=zz',
        'letter=%00',
        'sort=__class__',
        'page=-1&start=x',
        'letter=é',
    ],
)
def test_a_wrong_letter_or_sort_in_the_address_does_not_break_the_page(visitors: Visitors, query: str) -> None:
    shown = opened(visitors, f'/customers/complete?{query}')
    expect(shown.header('name')).to_have_attribute('aria-sort', 'ascending')
    expect(shown.page.get_by_role('alert')).to_be_hidden()
    assert len(shown.names()) > 10


def test_moving_between_the_lists_loads_no_page_anew(visitors: Visitors, many: int) -> None:
    shown = opened(visitors, '/customers/complete')
    page = shown.page
    page.evaluate('window.stillHere = true')
    page.get_by_role('button', name='Menu').click()
    page.get_by_role('link', name='Customer | In Progress').click()
    expect(shown.header('connect_status')).to_be_visible()
    in_progress = shown.names()[:15]  # how many rows there are below what is seen, the grid decides
    go_back(page, '/customers/in-progress')
    expect(page).to_have_url(re.compile('/customers/complete$'))
    expect(shown.header('inbound_queue')).to_be_visible()
    page.go_forward()

    def as_before() -> None:
        assert [row.get('name') for row in shown.rows()][:15] == in_progress

    eventually(page, as_before)
    assert page.evaluate('window.stillHere') is True
