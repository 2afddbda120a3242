"""The server stands still or starts anew: pages say so within 5 s, and the truth within 5 s of its return."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import List, Visitors, eventually
from tests.browser.portal import Portal

pytestmark = [pytest.mark.browser, pytest.mark.alone]
CUT_OFF = (r'WebSocket', r'ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_NETWORK|ERR_ABORTED|Failed to fetch')
FRAMEWORK = '.nicegui-error-popup, .q-dialog, .q-notification'


def live(page: Page, timeout: float = 5) -> None:
    expect(page.locator('html')).to_have_attribute('data-live', 'live', timeout=timeout * 1000)


def greyed(page: Page, what: str) -> bool:
    return page.evaluate(
        """what => {
          for (let at = document.querySelector(what); at; at = at.parentElement)
            if (getComputedStyle(at).filter.includes('grayscale')) return true;
          return false;
        }""",
        what,
    )


def expect_grey(page: Page, what: str, *, grey: bool, within: float) -> None:
    def same() -> None:
        assert greyed(page, what) is grey

    eventually(page, same, within)


class Watched:
    """Where a page has been: never on an error page of the browser, never under a pop-up of the framework."""

    def __init__(self, page: Page) -> None:
        self.page, self.errors = page, []
        page.on('framenavigated', lambda frame: self._went(frame.url))

    def _went(self, address: str) -> None:
        if address.startswith('chrome-error'):
            self.errors.append(address)

    def check(self) -> None:
        assert not self.errors
        assert not [popup for popup in self.page.locator(FRAMEWORK).all() if popup.is_visible()]
        expect(
            self.page.get_by_text(re.compile('connection lost|reconnecting', re.I)).locator('visible=true')
        ).to_have_count(0)


def opened(visitors: Visitors) -> tuple[List, Page, list[Watched]]:
    shown = List(visitors.page('ana', '/customers/complete'))
    # High enough for every line: what else is bad in the demo depends on the hour, and a low wall counts the rest.
    wall = visitors.page('ana', '/noc', viewport={'width': 1440, 'height': 2400})
    shown.loaded()
    for page in (shown.page, wall):
        live(page)
    expect(wall.get_by_role('alert')).to_be_hidden()
    return shown, wall, [Watched(shown.page), Watched(wall)]


def wall_line(wall: Page, name: str) -> Any:
    return wall.get_by_role('region', name='Problems now').locator('.wall-line', has_text=name)


def test_a_frozen_server_greys_what_is_shown_and_its_return_makes_it_right_again(
    visitors: Visitors, running: Portal
) -> None:
    visitors.expect_trouble(*CUT_OFF)
    running.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'good'})
    shown, wall, watched = opened(visitors)
    started = time.monotonic()
    running.freeze()
    expect(shown.page.locator('#live-dot')).to_contain_text(re.compile('Stale since|Reconnecting'), timeout=5500)
    expect(wall.get_by_role('alert')).to_contain_text('Stale since', timeout=5500)
    expect_grey(shown.page, '.ag-row .icon', grey=True, within=1)
    expect_grey(wall, '.wall-value', grey=True, within=1)
    assert time.monotonic() - started < 6, 'the pages are allowed 5 s and this test 1'
    shown.page.wait_for_timeout(1500)  # nothing comes back by itself while the server stands still
    assert greyed(wall, '.wall-value')

    running.thaw()
    for page in (shown.page, wall):
        live(page)
    expect(wall.get_by_role('alert')).to_be_hidden()
    expect_grey(shown.page, '.ag-row .icon', grey=False, within=1)
    expect_grey(wall, '.wall-value', grey=False, within=1)
    expect(shown.page.locator('#live-dot')).to_have_text('Live')
    running.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'bad'})
    expect(shown.icon('Birch Foundry', 'inbound_queue')).to_have_accessible_name('Inbound email queue: Problem')
    expect(wall_line(wall, 'Birch Foundry')).to_be_visible()
    for one in watched:
        one.check()


@pytest.mark.parametrize('how', ['kill', 'stop'])
def test_pages_survive_a_restart_and_show_what_changed_meanwhile(visitors: Visitors, running: Portal, how: str) -> None:
    visitors.expect_trouble(*CUT_OFF, r'Failed to load resource')
    running.post({'customer': 'BIR001', 'monitor': 'inbound_queue', 'state': 'good'})
    shown, wall, watched = opened(visitors)
    board, leaving = visitors.page('ana', '/'), visitors.page('ana', '/help')
    for page in (board, leaving):
        live(page)
        watched.append(Watched(page))
    expect(shown.icon('Birch Foundry', 'inbound_queue')).to_have_accessible_name('Inbound email queue: Good')

    getattr(running, how)()
    expect(shown.page.locator('#live-dot')).to_contain_text(re.compile('Stale since|Reconnecting'), timeout=5500)
    expect(wall.get_by_role('alert')).to_contain_text('Stale since', timeout=5500)
    expect_grey(shown.page, '.ag-row .icon', grey=True, within=5)
    # A link waits for the server; it does not lead to an error page.
    leaving.get_by_role('button', name='Menu').click()
    leaving.get_by_role('link', name='Customer | In Progress').click()
    running.aside("""
        birch = await Customer.get(account_code='BIR001', partner__slug='northwind-it')
        now, kind = datetime.now(UTC), MonitorKind.INBOUND_QUEUE
        await Monitor.record([Reading(birch.id, kind, now, None, MonitorState.BAD, '')])
    """)
    running.start()
    ready = time.monotonic()
    expect(shown.icon('Birch Foundry', 'inbound_queue')).to_have_accessible_name(
        'Inbound email queue: Problem', timeout=5000
    )
    expect(wall_line(wall, 'Birch Foundry')).to_be_visible(timeout=5000)
    expect(board.get_by_role('region', name='Needs attention now')).to_contain_text('Birch Foundry', timeout=5000)
    assert time.monotonic() - ready < 6
    expect(wall.get_by_role('alert')).to_be_hidden()
    expect_grey(shown.page, '.ag-row .icon', grey=False, within=1)
    for one in watched:
        one.check()
    expect(leaving).to_have_url(re.compile('/customers/in-progress$'))
    # The page framework has forgotten these pages; moving about works all the same.
    board.get_by_role('button', name='Menu').click()
    board.get_by_role('link', name='Customer | In Progress').click()
    expect(board.get_by_role('heading', level=1)).to_have_text('Customers: In Progress')
    assert len(List(board).names()) > 10
    for one in watched:
        one.check()
