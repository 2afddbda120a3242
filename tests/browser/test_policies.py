"""Content-Security-Policy in a browser that enforces it: no page of ours runs into it, and what slips in does."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from pages.shell import ROUTES
from tests.browser.conftest import Visitors, eventually
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser

_WATCH = """
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (seen) => window.violations.push(
      `${seen.effectiveDirective}: ${seen.blockedURI} at ${location.pathname} ${seen.sourceFile}:${seen.lineNumber}`));
"""


def _watched(context: BrowserContext) -> Page:
    context.add_init_script(_WATCH)
    return context.new_page()


def _violations(page: Page) -> list[str]:
    return page.evaluate('window.violations')


def _at_least(page: Page, number: int) -> None:
    assert len(_violations(page)) >= number


def test_no_page_runs_into_its_policy(visitors: Visitors, portal: Portal) -> None:
    page = _watched(visitors.browser_of('ana'))
    customer = portal.aside("return (await Customer.filter(partner__slug='northwind-it').first()).id")
    addresses = [path for path in ROUTES if '{' not in path]
    schemes = itertools.cycle(('light', 'dark'))
    for address in [*addresses, f'/customers/{customer}', '/help/status/blocked', '/noc']:
        page.emulate_media(color_scheme=next(schemes))
        page.goto(address)
        expect(page.locator('html')).to_have_attribute('data-live', 'live')
        assert _violations(page) == [], address


def test_moving_about_and_opening_dialogs_runs_into_none(visitors: Visitors) -> None:
    page = _watched(visitors.browser_of('ana'))
    page.goto('/customers/complete')
    page.get_by_role('link', name='Birch Foundry').click()
    expect(page.get_by_role('heading', level=1)).to_have_text('Birch Foundry')
    page.get_by_role('button', name='Open all').click()
    expect(page.locator('.skeleton')).to_have_count(0)
    assert _violations(page) == []


def test_the_doors_run_into_none(visitors: Visitors, tmp_path: Path) -> None:
    page = _watched(visitors.context())
    page.goto('/login#rows')
    assert page.locator('[name=next]').input_value().endswith('#rows')  # its own script has run
    assert _violations(page) == []
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--canvas')")  # and its style
    empty = Portal(tmp_path / 'empty', PORTAL_DEMO='0').start(wait=False)
    try:
        empty.wait_until_ready(90)  # it makes its database first
        page = _watched(visitors.browser.new_context(base_url=empty.address))
        page.goto('/setup')
        expect(page.get_by_role('heading', level=1)).to_have_text('Set up the portal')
        assert _violations(page) == []
        page.context.close()
    finally:
        empty.stop()


def test_a_script_that_slipped_into_a_door_does_not_run(visitors: Visitors) -> None:
    visitors.expect_trouble('Content Security Policy', 'evil.example', 'ERR_INVALID_URL')
    page = _watched(visitors.context())
    page.route('**/login', _with_scripts)
    page.goto('/login')
    eventually(page, lambda: _at_least(page, 3))
    assert page.evaluate('window.ran') is None


def test_a_handler_that_slipped_into_a_page_does_not_run(visitors: Visitors) -> None:
    visitors.expect_trouble('Content Security Policy', 'evil.example', 'ERR_INVALID_URL')
    page = _watched(visitors.browser_of('ana'))
    page.goto('/customers/complete')
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data: onerror=\"window.ran = 1\">')")
    eventually(page, lambda: _at_least(page, 1))
    assert page.evaluate('window.ran') is None


def _with_scripts(route) -> None:
    answer = route.fetch()
    slipped = (
        '<script>ran = 1</script><p onclick="ran = 2" id="x">x</p><script src="https://evil.example/x.js"></script>'
    )
    slipped += '<img src="data:," onerror="ran = 3">'
    route.fulfill(response=answer, body=answer.text().replace('</main>', slipped + '</main>'))
