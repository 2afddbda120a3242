"""The portal as people see it behind https and the nginx of docs/nginx.conf."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from pages.guard import SECURE_COOKIE
from tests.browser.conftest import CAST
from tests.browser.portal import CHROMIUM_ARGUMENTS, chromium
from tests.nginx import NAME, Nginx, skip_where_there_is_none

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    skip_where_there_is_none()
    with Nginx(tmp_path_factory.mktemp('nginx')) as nginx:
        yield nginx
    assert 'Traceback' not in nginx.portal.printed(), nginx.portal.printed()[-6000:]


@pytest.fixture(scope='module')
def named(browser: Browser) -> Iterator[Browser]:
    """A Chromium that finds the portal by its public name."""
    arguments = [*CHROMIUM_ARGUMENTS, f'--host-resolver-rules=MAP {NAME} 127.0.0.1']
    named = browser.browser_type.launch(executable_path=chromium(), args=arguments)
    yield named
    named.close()


def test_somebody_signs_in_through_https_and_sees_changes_live(nginx: Nginx, named: Browser) -> None:
    context = named.new_context(base_url=nginx.public, ignore_https_errors=True)
    page, troubles = context.new_page(), []
    page.on('console', lambda said: said.type == 'error' and troubles.append(said.text))
    page.goto('/customers/complete')
    page.get_by_label('E-mail').fill(CAST['ana'])
    page.get_by_label('Password').fill(nginx.portal.password)
    page.get_by_role('button', name='Sign in').click()
    expect(page).to_have_url(f'{nginx.public}/customers/complete')
    expect(page.get_by_role('heading', level=1)).to_have_text('Customers: Complete')
    expect(page.locator('html')).to_have_attribute('data-live', 'live')

    (cookie,) = context.cookies()
    assert (cookie['name'], cookie['secure'], cookie['httpOnly'], cookie['sameSite']) == (
        SECURE_COOKIE, True, True, 'Lax',
    )  # fmt: skip
    assert cookie['domain'] == NAME

    # Moving about goes by the framework's socket; that another page has signed out is told by ours.
    page.get_by_role('button', name='Menu').click()
    page.get_by_role('link', name='Help').click()
    expect(page).to_have_url(f'{nginx.public}/help')
    other = context.new_page()
    other.goto('/')
    expect(other.locator('html')).to_have_attribute('data-live', 'live')
    other.get_by_label('Ana Lindqvist: account and theme').click()
    other.get_by_role('button', name='Sign out').click()
    expect(other).to_have_url(f'{nginx.public}/login')
    expect(page).to_have_url(re.compile('/login'))
    assert context.cookies() == []
    assert [said for said in troubles if 'WebSocket' not in said and 'Failed to load resource' not in said] == []
    context.close()
