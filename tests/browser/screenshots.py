"""Pictures of the portal from the demo data: `python tests/browser/screenshots.py OUTDIR [--all]`.

Without `--all` the ones in the README; with it every page in light and dark at three widths, to be looked at.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.portal import CHROMIUM_ARGUMENTS, Portal, chromium, temporary_portal

README = {
    'in-progress': '/customers/in-progress', 'complete': '/customers/complete', 'dashboard': '/', 'wall': '/noc',
}  # fmt: skip
SIZES = ((390, 844), (1440, 900), (3840, 2160))


def settle(page: Page) -> None:
    """Wait until the page shows what it has to show, and nothing moves."""
    page.wait_for_function(
        "!document.querySelector('#live-dot, #wall') || document.documentElement.dataset.live === 'live'"
    )
    page.wait_for_function(
        "!document.querySelector('.skeleton') && !/^(…|\\u00a0)$/.test(document.querySelector('.count')?.textContent)"
    )
    page.wait_for_function(
        "!document.querySelector('.figure, .grid, .wall-counts') || "
        "document.querySelector('.spark, .ag-row .cell, .wall-count, .empty:not([hidden])')"
    )
    page.wait_for_load_state('networkidle')


def hover_icon(page: Page) -> None:
    page.locator('.ag-row [data-monitor][aria-label*=Problem]').first.hover()
    page.get_by_text('Last read').wait_for()


def open_columns(page: Page) -> None:
    page.locator('summary[title="Choose columns"]').click()
    page.get_by_label('Domain').wait_for()


def open_all(page: Page) -> None:
    page.get_by_role('button', name='Open all').click()
    page.wait_for_function("!document.querySelector('.fold .skeleton') && document.querySelector('.log-row')")


def add_note(page: Page) -> None:
    page.locator('#notes').get_by_role('button', name='Add', exact=True).click()
    page.get_by_role('dialog').wait_for()


def nothing(page: Page) -> None: ...


# name: address and what is done there before the picture
EVERY: dict[str, tuple[str, Callable[[Page], object]]] = {
    'dashboard': ('/', nothing),
    'in-progress': ('/customers/in-progress', nothing),
    'complete': ('/customers/complete', nothing),
    'waiting': ('/customers/waiting', nothing),
    'no-match': ('/customers/complete?q=nobody+is+called+this&letter=q', nothing),
    'sorted-and-searched': ('/customers/complete?q=e&sort=inbound_queue', nothing),
    'icon-details': ('/customers/complete?sort=inbound_queue', hover_icon),
    'columns': ('/customers/complete', open_columns),
    'menu': ('/customers/complete', lambda page: page.get_by_role('button', name='Menu').click()),
    'person': ('/', lambda page: page.locator('summary[title="You and the theme"]').click()),
    'customer': ('/customers/{customer}', nothing),
    'customer-open': ('/customers/{customer}', open_all),
    'customer-connecting': ('/customers/{connecting}#connect', nothing),
    'customer-note': ('/customers/{customer}', add_note),
    'not-found': ('/customers/abc', nothing),
    'help': ('/help', nothing),
    'help-article': ('/help/monitor/inbound_queue', nothing),
    'wall': ('/noc', nothing),
}


def signed_in(portal: Portal, browser: Browser, who: str = 'ana', **options) -> Page:
    context = browser.new_context(base_url=portal.address, locale='en-GB', bypass_csp=True, **options)
    context.request.post(
        '/login', form={'email': f'{who}@northwind.example', 'password': portal.password}, max_redirects=0
    )
    return context.new_page()


def take(page: Page, address: str, file: Path, before: Callable[[Page], object] = nothing) -> None:
    page.mouse.move(0, 0)
    page.goto(address)
    settle(page)
    before(page)
    page.screenshot(path=file, animations='disabled')
    sys.stdout.write(f'{file}\n')


def take_readme(portal: Portal, browser: Browser, folder: Path) -> None:
    desk, phone = {'width': 1440, 'height': 900}, {'width': 390, 'height': 844}
    page = signed_in(portal, browser, viewport=desk, color_scheme='light')
    for name, address in README.items():
        take(page, address, folder / f'{name}.png')
    shown = customers_of(portal)
    take(page, f'/customers/{shown["customer"]}', folder / 'customer.png')
    dark = signed_in(portal, browser, viewport=desk, color_scheme='dark')
    take(dark, f'/customers/{shown["customer"]}#monitor', folder / 'customer-dark.png')
    small = signed_in(portal, browser, viewport=phone, color_scheme='light')
    take(small, f'/customers/{shown["connecting"]}', folder / 'customer-phone.png')


def customers_of(portal: Portal) -> dict[str, int]:
    """The ids of the customers whose pages are shown."""
    return portal.aside("""
        names = {'customer': 'Bellamy Freight', 'connecting': 'Moreau Notaires'}
        return {key: (await Customer.get(name=name)).id for key, name in names.items()}
    """)


def take_all(portal: Portal, browser: Browser, folder: Path) -> None:
    shown = customers_of(portal)
    for theme in ('light', 'dark'):
        for width, height in SIZES:
            options = {'viewport': {'width': width, 'height': height}, 'color_scheme': theme}
            door = browser.new_context(base_url=portal.address, bypass_csp=True, **options).new_page()
            take(door, '/login', folder / f'login-{width}-{theme}.png')
            page = signed_in(portal, browser, **options)
            for name, (address, before) in EVERY.items():
                if before is hover_icon and width == 390:
                    continue  # the icon columns are off on a phone
                take(page, address.format(**shown), folder / f'{name}-{width}-{theme}.png', before)
    take_empty(portal, browser, folder)
    take_outage(portal, browser, folder)


def take_empty(portal: Portal, browser: Browser, folder: Path) -> None:
    """As somebody who may see no customers at all."""
    portal.aside("""
        northwind = await Partner.get(slug='northwind-it')
        from models.demo import demo_password
        await PortalUser.register(northwind, name='New Here', email='new@northwind.example', sees_all=False,
                                  password=await demo_password(), role=PortalRole.TECHNICIAN)
    """)
    page = signed_in(portal, browser, 'new', viewport={'width': 1440, 'height': 900})
    for name in ('dashboard', 'complete', 'wall'):
        take(page, EVERY[name][0], folder / f'{name}-empty.png')


def take_outage(portal: Portal, browser: Browser, folder: Path) -> None:
    pages = {name: signed_in(portal, browser, viewport={'width': 1440, 'height': 900}) for name in ('complete', 'wall')}
    for name, page in pages.items():
        page.goto(EVERY[name][0])
        settle(page)
    portal.freeze()
    for name, page in pages.items():
        page.wait_for_function("document.documentElement.dataset.live === 'stale'")
        page.screenshot(path=folder / f'{name}-stale.png')
    portal.thaw()


def main() -> None:
    parser = argparse.ArgumentParser(description='Pictures of the portal from the demo data.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--all', action='store_true', help='every page, light and dark, at 390, 1440 and 3840')
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    portal = temporary_portal()
    try:
        with portal, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS))
            (take_all if given.all else take_readme)(portal, browser, given.folder)
            browser.close()
    finally:
        shutil.rmtree(portal.data, ignore_errors=True)


if __name__ == '__main__':
    main()
