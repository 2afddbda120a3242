"""The dashboard and the wall change under the eyes of people, and take nothing out of their hands."""

import re
from collections import Counter

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import List, Visitors, eventually
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser


def opened(visitors: Visitors, address: str = '/', **options) -> Page:
    page = visitors.page('ana', address, **options)
    expect(page.locator('html')).to_have_attribute('data-live', 'live')
    page.locator('.figure .spark, .wall-count').first.wait_for()
    return page


def test_the_focus_stays_on_a_line_while_others_come_and_go(visitors: Visitors, portal: Portal) -> None:
    kinds = ('inbound_queue', 'outbound_queue', 'journal_queue', 'journal_connector', 'directory_connector')
    portal.post(*({'customer': 'WHA001', 'monitor': kind, 'state': 'bad'} for kind in kinds[:4]))
    page = opened(visitors)
    attention = page.get_by_role('region', name='Needs attention now')
    mine = attention.get_by_role('link', name='Wharf Traders').last
    mine.focus()
    for state, lines in (('bad', 5), ('good', 0)):
        portal.post(*({'customer': 'BIR001', 'monitor': kind, 'state': state} for kind in kinds))
        expect(attention.get_by_role('link', name='Birch Foundry')).to_have_count(lines)
        expect(mine).to_be_focused()
    portal.post({'customer': 'WHA001', 'monitor': kinds[0], 'state': 'good'})
    expect(attention.get_by_role('link', name='Wharf Traders')).to_have_count(3)
    expect(mine).to_be_focused()
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', level=1)).to_have_text('Wharf Traders')
    portal.post(*({'customer': 'WHA001', 'monitor': kind, 'state': 'good'} for kind in kinds))


def test_a_click_is_not_lost_to_a_change_between_press_and_release(visitors: Visitors, portal: Portal) -> None:
    portal.post({'customer': 'WHA001', 'monitor': 'inbound_queue', 'state': 'bad'})
    page = opened(visitors)
    mine = page.get_by_role('region', name='Needs attention now').get_by_role('link', name='Wharf Traders')
    mine.hover()
    page.mouse.down()
    portal.post({'customer': 'WHA001', 'monitor': 'inbound_queue', 'state': 'good'})
    page.wait_for_timeout(800)
    page.mouse.up()
    expect(page.get_by_role('heading', level=1)).to_have_text('Wharf Traders')


def test_what_changed_while_the_pointer_was_down_is_shown_afterwards(visitors: Visitors, portal: Portal) -> None:
    page = opened(visitors)
    attention = page.get_by_role('region', name='Needs attention now')
    page.get_by_role('heading', level=2).first.hover()
    page.mouse.down()
    portal.post({'customer': 'CED001', 'monitor': 'inbound_queue', 'state': 'bad'})
    page.wait_for_timeout(600)
    expect(attention.get_by_text('Cedar Clinic')).to_have_count(0)
    page.mouse.up()
    expect(attention.get_by_text('Cedar Clinic')).to_have_count(1)
    portal.post({'customer': 'CED001', 'monitor': 'inbound_queue', 'state': 'good'})
    expect(attention.get_by_text('Cedar Clinic')).to_have_count(0)


def test_each_number_leads_to_as_many_customers_and_its_trend_ends_in_it(visitors: Visitors, portal: Portal) -> None:
    page = opened(visitors)
    portal.post({'customer': 'CED001', 'monitor': 'inbound_queue', 'state': 'bad'})
    problem = page.locator('.figure', has_text='Customers with a problem')
    live, monitored = portal.aside("""
        mine = Customer.filter(partner__slug='northwind-it')
        return [await mine.filter(worst__lte=1).count(), await mine.filter(worst__lt=5).count()]
    """)
    expect(problem.locator('.figure-value')).to_have_text(str(live))
    expect(problem.locator('.figure-more')).to_have_text(f'of {monitored} monitored')
    expect(problem.get_by_role('img', name=re.compile(f'to {live}, highest'))).to_be_visible()
    expect(problem.get_by_role('link')).to_have_count(0)
    for name in ('live', 'in progress', 'waiting'):
        page.goto('/')
        link = page.locator('.figure').get_by_role('link', name=name)
        count = int(link.inner_text().split()[0])
        link.click()
        shown = List(page)
        shown.loaded()
        expect(shown.count).to_have_text(f'{count} customer{"" if count == 1 else "s"}')


def test_a_long_reason_is_told_whole(visitors: Visitors, portal: Portal) -> None:
    reason = 'The domain controller does not answer on port 636, and nobody knows since when or why. ' * 2
    portal.post({'customer': 'CED001', 'monitor': 'directory_connector', 'state': 'bad', 'reason': reason.strip()})
    page = opened(visitors, viewport={'width': 390, 'height': 844})
    line = page.locator('.line-what', has_text='636')
    expect(line).to_have_attribute('title', re.compile('since when or why'))
    assert line.evaluate('line => line.clientHeight > 1.5 * parseFloat(getComputedStyle(line).lineHeight)')


# -- the wall ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('width', [390, 800, 1440, 3840])
def test_no_count_of_the_wall_stands_alone_and_no_name_wraps(visitors: Visitors, width: int) -> None:
    page = opened(visitors, '/noc', viewport={'width': width, 'height': 2160 if width > 2000 else 900})
    expect(page.locator('.wall-count').last).to_contain_text('Signals not known')

    # Of one moment each: the wall draws itself anew with every word that it hears.
    def in_place() -> None:
        tops = page.locator('.wall-count').evaluate_all('all => all.map(one => one.offsetTop)')
        assert min(Counter(tops).values()) > 1, tops
        cut = page.locator('.wall-signal-name').evaluate_all(
            'all => all.filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.innerText)'
        )
        assert not cut, cut
        assert page.evaluate('document.documentElement.scrollWidth - innerWidth') <= 0

    eventually(page, in_place)


@pytest.mark.alone
def test_the_wall_cuts_no_line_when_its_banner_comes(visitors: Visitors, running: Portal) -> None:
    running.post(
        *({'customer': code, 'monitor': kind, 'state': 'bad'}
          for code in ('BIR001', 'CED001', 'WHA001', 'PCT001') for kind in ('inbound_queue', 'journal_queue'))
    )  # fmt: skip
    page = opened(visitors, '/noc', viewport={'width': 1440, 'height': 760})
    expect(page.locator('.wall-bad .wall-more')).to_contain_text('more')
    visitors.expect_trouble('.*')
    running.freeze()
    expect(page.locator('.wall-banner')).to_be_visible(timeout=10_000)

    def whole() -> None:
        for section in page.locator('.wall-columns section').all():
            assert section.evaluate('box => box.scrollHeight - box.clientHeight') <= 1

    eventually(page, whole, timeout=1)
