import re
import time

import pytest
from playwright.sync_api import Page, expect
from pyotp.totp import TOTP

from tests.browser.conftest import CAST, Visitors, once
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser
EXPECTED = (r'Failed to load resource.*(401|404)', 'WebSocket', 'ERR_ABORTED')

# A moment as a page says it, and the beginnings of two days between which the clocks change in New York.
_TIMES = """async () => {
  const shell = [...document.scripts].find(({ src }) => src.includes('shell.js')).src;
  const { exact, startOfDay, momentOf } = await import(shell.replace('shell', 'live'));
  return [exact(0), startOfDay('2026-11-01'), startOfDay('2026-11-01', 1), momentOf('2026-11-01T12:00')];
}"""


def sign_in(page: Page, password: str) -> None:
    page.goto('/login')
    page.get_by_label('E-mail').fill(CAST['ana'])
    page.get_by_label('Password').fill(password)
    page.keyboard.press('Enter')


def live(page: Page) -> None:
    expect(page.locator('html')).to_have_attribute('data-live', 'live')


def test_two_factor_is_set_up_on_the_page_and_asked_for_at_the_next_sign_in(visitors: Visitors, portal: Portal) -> None:
    visitors.expect_trouble(*EXPECTED)
    page = visitors.page('ana', '/account')
    other = visitors.page('ana', '/customers/complete')
    live(other)
    page.get_by_role('button', name='Turn on', exact=True).click()
    expect(page.get_by_role('button', name='Turn on', exact=True)).to_have_count(0)
    page.locator('.account-form input[type=password]').fill(portal.password)
    page.keyboard.press('Enter')
    expect(page.get_by_role('img', name='QR code of your key')).to_be_visible()
    expect(page.get_by_role('button', name='Turn on', exact=True)).to_have_count(1)
    key = page.locator('.key').inner_text().replace(' ', '')
    page.get_by_role('textbox', name='Code').fill(TOTP(key).now())
    page.keyboard.press('Enter')
    codes = page.locator('.recovery-codes li')
    expect(codes).to_have_count(10)
    recovery = codes.first.inner_text()
    page.set_viewport_size({'width': 390, 'height': 844})  # one below the other: beside each other they were cut off
    lefts = 'each => each.map((li) => li.getBoundingClientRect().left)'
    once(page, lambda: len(set(codes.evaluate_all(lefts))) == 1)
    page.set_viewport_size({'width': 1280, 'height': 800})
    with page.expect_download() as loading:
        page.get_by_role('button', name='Download').click()
    assert recovery in loading.value.path().read_text()
    page.get_by_role('button', name='I have kept them').click()
    expect(page.get_by_text('10 of 10 are left')).to_be_visible()
    expect(other).to_have_url(re.compile('/login'))

    page.get_by_label('Ana Lindqvist: account and theme').click()
    page.get_by_role('button', name='Sign out').click()
    expect(page).to_have_url(portal.address + '/login')
    sign_in(page, portal.password)
    expect(page).to_have_url(portal.address + '/login/code')
    expect(page.get_by_label('Code')).to_be_focused()
    # The code that turned it on was used; the one of the next half minute is good already.
    page.get_by_label('Code').fill(TOTP(key).at(int(time.time()) + 30))
    page.keyboard.press('Enter')
    expect(page).to_have_url(portal.address + '/')

    page.goto('/account')
    page.get_by_role('button', name='Turn two-factor off').click()
    page.locator('input[type=password]').fill(portal.password)
    page.keyboard.press('Enter')
    expect(page.get_by_text('Code is empty.')).to_be_visible()  # the password alone is not enough
    page.get_by_role('textbox', name='Code').fill(recovery)
    page.keyboard.press('Enter')
    expect(page.get_by_text('Two-factor is off')).to_be_visible()
    expect(page.get_by_role('button', name='Turn on', exact=True)).to_be_visible()


def test_the_chosen_time_zone_is_that_of_every_time_on_the_pages(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page('ana', '/account', timezone_id='Asia/Tokyo')
    expect(page.get_by_text('That of this browser (Asia/Tokyo)')).to_be_visible()
    assert page.evaluate(_TIMES)[0] == '1 Jan 1970, 09:00:00 GMT+9'
    page.get_by_role('button', name='Change the time zone').click()
    page.get_by_role('combobox', name='Time zone').fill('America/New York')
    page.keyboard.press('Enter')
    expect(page.get_by_text('America/New_York', exact=False).first).to_be_visible()
    for _ in range(2):  # at once, and on the next page
        said = page.evaluate(_TIMES)
        assert said[0].startswith('31 Dec 1969, 19:00:00')
        assert said[1:] == ['2026-11-01T04:00:00.000Z', '2026-11-02T05:00:00.000Z', '2026-11-01T17:00:00.000Z']
        page.goto('/help')
    # A day that is no moment is the same everywhere.
    until = portal.aside('return (await Customer.get(name="Tamura Ceramics")).hold_until.strftime("%-d %b")')
    page.goto('/connect?state=held')
    expect(page.locator('.board-why').first).to_contain_text(f'Until {until}')


def test_another_password_ends_the_pages_of_the_other_browser(visitors: Visitors, portal: Portal) -> None:
    visitors.expect_trouble(*EXPECTED)
    page, other = visitors.page('ana', '/account'), visitors.page('ana', '/customers/complete')
    live(other)
    expect(page.get_by_text('This one')).to_be_visible()
    page.get_by_role('button', name='Change the password').click()
    page.get_by_label('Password now').fill(portal.password)
    page.get_by_label('New password', exact=True).fill('another horse battery')
    page.get_by_label('New password again').fill('another horse battery')
    page.keyboard.press('Enter')
    expect(page.get_by_text('Your password was changed')).to_be_visible()
    expect(other).to_have_url(re.compile('/login'))
    expect(page).to_have_url(portal.address + '/account')
    expect(page.get_by_text('You are signed in nowhere else.')).to_be_visible()
