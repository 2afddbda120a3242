import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CAST, Visitors
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser
DEMO_ERRORS = r'Failed to load resource.*(401|404)'


def test_signing_in_leads_to_the_page_that_was_asked_for_and_signing_out_back_to_the_door(
    visitors: Visitors, portal: Portal
) -> None:
    visitors.expect_trouble(DEMO_ERRORS)  # the answer to a wrong password is a 401
    page = visitors.context().new_page()
    page.goto('/customers/complete?sort=seats&dir=desc')
    expect(page).to_have_url(re.compile(r'/login\?next='))
    page.get_by_label('E-mail').fill(CAST['ana'])
    page.get_by_label('Password').fill('not the password')
    page.get_by_role('button', name='Sign in').click()
    expect(page.get_by_role('alert')).to_contain_text('do not match')
    expect(page.get_by_label('E-mail')).to_have_value(CAST['ana'])
    expect(page.get_by_label('Password')).to_be_focused()
    expect(page.get_by_label('Password')).to_have_value('')

    page.get_by_label('Password').fill(portal.password)
    page.keyboard.press('Enter')
    expect(page).to_have_url(portal.address + '/customers/complete?sort=seats&dir=desc')
    expect(page.get_by_role('heading', level=1)).to_have_text('Customers: Complete')

    page.get_by_label('Ana Lindqvist: account and theme').click()
    page.get_by_role('button', name='Sign out').click()
    expect(page).to_have_url(portal.address + '/login')
    page.goto('/customers/complete')
    expect(page).to_have_url(re.compile('/login'))


def test_signing_out_in_one_tab_ends_the_others(visitors: Visitors) -> None:
    visitors.expect_trouble(DEMO_ERRORS, 'WebSocket', 'ERR_ABORTED')
    context = visitors.browser_of('ana')
    pages = [context.new_page() for _ in range(3)]
    for page, address in zip(pages, ('/customers/complete', '/noc', '/help'), strict=True):
        page.goto(address)
        expect(page.locator('html')).to_have_attribute('data-live', 'live')
    pages[2].get_by_label('Ana Lindqvist: account and theme').click()
    pages[2].get_by_role('button', name='Sign out').click()
    for page in pages:
        expect(page).to_have_url(re.compile('/login'))


def test_disabling_somebody_ends_their_open_pages(visitors: Visitors, portal: Portal) -> None:
    visitors.expect_trouble(DEMO_ERRORS, 'WebSocket', 'ERR_ABORTED')
    context = visitors.browser_of('tom')
    pages = [context.new_page() for _ in range(2)]
    for page, address in zip(pages, ('/customers/complete', '/noc'), strict=True):
        page.goto(address)
        expect(page.locator('html')).to_have_attribute('data-live', 'live')
    other = visitors.page('ana', '/customers/complete')
    portal.aside("""
        await (await PortalUser.get(email='tom@northwind.example')).disable(datetime.now(UTC))
    """)
    for page in pages:
        expect(page).to_have_url(re.compile('/login'))
    expect(other).to_have_url(portal.address + '/customers/complete')
    answer = context.request.post('/login', form={'email': CAST['tom'], 'password': portal.password}, max_redirects=0)
    assert answer.status == 401


def test_what_is_not_yours_looks_as_if_it_were_not_there(visitors: Visitors, portal: Portal) -> None:
    visitors.expect_trouble(DEMO_ERRORS)
    theirs = portal.aside("""
        return (await Customer.get(account_code='BIR001', partner__slug='fabrikam-managed-services')).id
    """)
    page = visitors.page('ana')
    seen = set()
    for address in ('/customers/abc', '/customers/99999999', f'/customers/{theirs}', '/customers/1%2F2', '/nowhere'):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 404, address
        expect(page.get_by_role('heading', level=1)).to_have_text('There is nothing here')
        seen.add(page.locator('#page').inner_text())
    assert len(seen) == 1
