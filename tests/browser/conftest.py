"""A portal in a process of its own per module, one Chromium for all, and a visitor's pages that are watched for errors.

Run as `pytest -m browser tests/browser`, never in one process with tests that are async.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, WebSocketRoute, expect, sync_playwright

from tests.browser.portal import CHROMIUM_ARGUMENTS, Portal, chromium

# s within which anything comes true on a machine that has much else to do. What has to come sooner says so itself.
PATIENCE = 30
expect.set_options(timeout=PATIENCE * 1000)

CAST = {'ana': 'ana@northwind.example', 'tom': 'tom@northwind.example', 'eve': 'eve@fabrikam.example'}
MARKUP, QUOTED = '<script>alert(1)</script> Ltd', '"><img src=x onerror=alert(2)> & Sons'

# Customers that take readings from outside, beside those of the demo. Fabrikam has one of the same name and code.
REAL = f"""name,account_code,licences,account_type,domain,products,list,rfi
Birch Foundry,BIR001,120,standard,birch-foundry.example,SEC+ARC,complete,n/a
Cedar Clinic,CED001,60,express,cedar-clinic.example,SEC,complete,n/a
Wharf Traders,WHA001,15,trial,wharf-traders.example,SEC+ARC,complete,n/a
100% Cotton,PCT001,9,standard,cotton.example,SEC,complete,n/a
Snake_case Systems,UND001,30,standard,snake.example,SEC,complete,n/a
{MARKUP},MARK01,5,standard,markup.example,SEC,complete,n/a
"{QUOTED.replace('"', '""')}",QUO001,7,standard,quoted.example,SEC,complete,n/a
Plum Telecom,PLU001,44,standard,plum-telecom.example,SEC+ARC,in_progress,n/a
{MARKUP} in Connect,MARK02,5,standard,markup2.example,SEC,in_progress,n/a
"""
_PREPARE = f"""
    from models.customer_import import import_customers
    from models.demo import load_demo
    from settings import settings

    await load_demo()
    tokens = {{}}
    for partner in await Partner.all():
        lines = {REAL!r}.splitlines(keepends=True)
        result = await import_customers(partner, ''.join(lines if partner.slug == 'northwind-it' else lines[:2]))
        assert not result.refused, result.refused
        tokens[partner.slug] = await ApiToken.issue(partner, 'browser tests')
    birch = await Customer.get(account_code='BIR001', partner__slug='northwind-it')
    tom = await PortalUser.get(email='tom@northwind.example')
    await CustomerAccess.create(user=tom, customer=birch, allowed=True)
    return tokens
"""


# -- the portal -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='session')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with the demo and some real customers, to copy; and a token per MSP."""
    portal = Portal(tmp_path_factory.mktemp('prepared'))
    return portal.data, portal.aside(_PREPARE)


@pytest.fixture(scope='module')
def portal(prepared: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A running portal, one for each module."""
    data, tokens = prepared
    portal = Portal(Path(shutil.copytree(data, tmp_path_factory.mktemp('portal') / 'data')))
    portal.tokens = tokens
    try:
        yield portal.start()
    finally:
        portal.stop()
    assert 'Traceback' not in portal.printed(), portal.printed()[-6000:]


@pytest.fixture
def running(portal: Portal) -> Iterator[Portal]:
    """The portal, for a test that freezes or ends it: afterwards it runs again."""
    yield portal
    portal.thaw()
    with suppress(AssertionError):  # it runs
        portal.start()


# -- the browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='session')
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


class Visitors:
    """People with browsers of their own. What goes wrong in one of their pages fails the test."""

    def __init__(self, portal: Portal, browser: Browser) -> None:
        self.portal, self.browser = portal, browser
        self.contexts: list[BrowserContext] = []
        self.troubles: list[str] = []
        self.expected: list[str] = []

    def context(self, **options: Any) -> BrowserContext:
        """A browser where nobody has signed in."""
        given = {'base_url': self.portal.address, 'viewport': {'width': 1440, 'height': 900}, 'locale': 'en-GB'}
        context = self.browser.new_context(**given | options)
        context.set_default_timeout(PATIENCE * 1000)
        context.on('request', self._requested)
        context.on('console', lambda said: said.type == 'error' and self.troubles.append(f'console: {said.text}'))
        context.on('weberror', lambda error: self.troubles.append(f'page: {error.error}'))
        context.on('dialog', self._dialog)
        self.contexts.append(context)
        return context

    def browser_of(self, who: str, **options: Any) -> BrowserContext:
        """A browser where this person has signed in."""
        context = self.context(**options)
        answer = context.request.post(
            '/login', form={'email': CAST.get(who, who), 'password': self.portal.password}, max_redirects=0
        )
        assert answer.status == 303, answer.text()
        return context

    def page(self, who: str, address: str = '/', **options: Any) -> Page:
        page = self.browser_of(who, **options).new_page()
        page.goto(address)
        return page

    def expect_trouble(self, *patterns: str) -> None:
        """Errors in the console that belong to what the test does."""
        self.expected += patterns

    def _requested(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ('data', 'blob') and address.netloc != urlsplit(self.portal.address).netloc:
            self.troubles.append(f'a request to another host: {request.url[:200]}')

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f'a dialog: {dialog.message}')
        dialog.dismiss()

    def leave(self) -> None:
        for context in self.contexts:
            context.close()

    def check(self) -> None:
        unexpected = [t for t in self.troubles if not any(re.search(pattern, t) for pattern in self.expected)]
        assert not unexpected, '\n'.join(unexpected)


@pytest.fixture
def visitors(portal: Portal, browser: Browser) -> Iterator[Visitors]:
    visitors = Visitors(portal, browser)
    yield visitors
    visitors.leave()
    visitors.check()


class Line:
    """The live socket of a page in the hands of a test: after the greeting it says what the test says, and that it is
    there."""

    def __init__(self, page: Page) -> None:
        self.n = -1
        page.route_web_socket('**/live', self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        self._route = route
        route.connect_to_server().on_message(self._heard)

    def _heard(self, text: str | bytes) -> None:
        message = json.loads(text)
        if message['t'] == 'hello':
            self.n = message['n']
        if message['t'] in ('hello', 'h'):
            self._route.send(json.dumps(message | {'n': self.n}))

    def say(self, rows: dict[int, dict[str, Any]], **more: Any) -> None:
        """One message about these customers."""
        self._send('d', rows=rows, **more)

    def say_many(self) -> None:
        """That more has changed than is worth naming."""
        self._send('many')

    def _send(self, kind: str, **more: Any) -> None:
        self.n += 1
        self._route.send(json.dumps({'t': kind, 'n': self.n, **more}))


# -- lists ------------------------------------------------------------------------------------------------------------

_ROWS = """() => {
  const count = document.querySelector('.count')?.innerText.trim() ?? '';
  const isLate = document.getElementById('early') || !window.socket?.connected;
  const isWhole = !isLate && !['', '…'].includes(count);
  const rows = {};
  for (const cell of document.querySelectorAll('.grid .ag-row .ag-cell')) {
    const row = cell.closest('.ag-row');
    const icon = cell.querySelector('[role=img]');
    const found = (rows[row.getAttribute('row-index')] ||= { id: row.getAttribute('row-id') });
    found[cell.getAttribute('col-id')] = icon ? icon.getAttribute('aria-label') : cell.innerText.trim();
    if (cell.querySelector('.skeleton')) found.loading = true;
  }
  const indexes = Object.keys(rows).map(Number).sort((a, b) => a - b);
  return [isWhole, indexes.map((index) => ({ index, ...rows[index] }))];
}"""


class List:
    """A list of customers as somebody sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.search = page.get_by_role('searchbox')
        self.count = page.locator('.count')
        self.empty = page.locator('.empty')
        self.pill = page.locator('.pill')

    def rows(self) -> list[dict[str, Any]]:
        """What stands in the grid now, from the top down: per row its customer's id and the text of each cell."""
        return self.page.evaluate(_ROWS)[1]

    def loaded(self) -> list[dict[str, Any]]:
        """The rows, as soon as none of them is still to come and the page around them is whole: the first rows are
        there before it (#early, components/live_table.py), and what a test reaches for beside the list is not; nor is
        its framework `connected`."""

        def ready() -> list[dict[str, Any]]:
            is_whole, rows = self.page.evaluate(_ROWS)  # of one moment: the page may begin anew between two
            assert is_whole, 'the page is not whole yet, or not counted'
            assert not any('loading' in row or not row.get('name') for row in rows), 'not read yet'
            return rows

        return eventually(self.page, ready)

    def names(self) -> list[str]:
        return [row['name'] for row in self.loaded()]

    def expect_names(self, *names: str) -> None:
        def shown() -> None:
            assert [row.get('name') for row in self.rows()] == list(names)

        eventually(self.page, shown)

    def header(self, name: str) -> Any:
        return self.page.locator(f'.ag-header-cell[col-id="{name}"]')

    def cell(self, customer: str, column: str = 'name') -> Any:
        """A cell of the customer of this name, wherever its row is."""

        def found() -> str:
            row = self.page.evaluate(
                "name => [...document.querySelectorAll('.grid .ag-cell[col-id=name]')]"
                '.find(cell => cell.innerText.trim() === name)?.closest(".ag-row").getAttribute("row-id")',
                customer,
            )
            assert row, f'{customer} is not shown'
            return row

        row = eventually(self.page, found)
        return self.page.locator(f'.grid .ag-row[row-id="{row}"] .ag-cell[col-id="{column}"]')

    def icon(self, customer: str, monitor: str) -> Any:
        return self.cell(customer, monitor).get_by_role('img')


def connected(page: Page) -> None:
    """As soon as its framework is: until then links load their page in full."""
    page.wait_for_function('window.socket?.connected')


def go_back(page: Page, path: str) -> None:
    """Back from the page whose path ends with this pattern. The address comes a moment after what the page draws: who
    goes back between the two goes one step too far."""
    expect(page).to_have_url(re.compile(path + '$'))
    page.go_back()


def eventually(page: Page, check: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """What `check` gives as soon as it holds; the page goes on meanwhile, and may begin anew while it is asked."""
    until = time.monotonic() + timeout
    while True:
        try:
            return check()
        except (AssertionError, Error) as error:
            began_anew = isinstance(error, Error) and 'context was destroyed' in error.message
            if time.monotonic() > until or not (began_anew or isinstance(error, AssertionError)):
                raise
        page.wait_for_timeout(40)


def once(page: Page, holds: Callable[[], Any]) -> None:
    """As soon as this holds; the page goes on meanwhile."""

    def check() -> None:
        assert holds()

    eventually(page, check)
