"""Granting in one browser, signing on in another, and a console that takes an assertion once."""

import re
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import List, Visitors
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser

CUSTOMER = 'Håkansson Forestry'  # in Connect; Ana holds Partner Administrator there, and Tom sees it as a Reviewer
BASIC = 'Dvořák Instruments'  # nobody but the generic account holds it there


def _open_dialog(page: Page, customer: str, address: str = '/customers/complete') -> None:
    page.goto(address)
    shown = List(page)
    shown.loaded()
    shown.cell(customer).get_by_role('link').click()
    page.get_by_role('button', name='Manage access').click()
    expect(page.get_by_role('dialog').get_by_role('listitem').first).to_be_visible()


def test_a_grant_reaches_the_open_list_and_the_sign_on_is_good_once(visitors: Visitors, portal: Portal) -> None:
    toms = visitors.browser_of('tom')
    tom = toms.new_page()
    tom.goto('/customers/in-progress')
    shown = List(tom)
    shown.loaded()
    door = shown.cell(CUSTOMER, 'console')
    expect(door.get_by_role('button')).to_have_attribute('aria-disabled', 'true')
    door.get_by_role('button').hover()
    expect(tom.get_by_role('tooltip')).to_contain_text('Ana Lindqvist can grant it')
    tom.mouse.move(5, 5)

    ana = visitors.page('ana')
    _open_dialog(ana, CUSTOMER, '/customers/in-progress')
    dialog = ana.get_by_role('dialog')
    dialog.get_by_role('combobox', name='To', exact=True).select_option(label='Tom Okafor (tom@northwind.example)')
    dialog.get_by_role('button', name='Grant').click()
    expect(dialog.get_by_role('status')).to_have_text('Tom Okafor holds Partner Administrator at 1 customer now.')
    expect(dialog.get_by_role('button', name='Revoke from Tom Okafor')).to_be_visible()

    expect(shown.cell(CUSTOMER, 'role')).to_have_text('Partner Administrator')
    expect(door.locator('form')).to_be_visible()
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == 'POST':
            sent.append(f'{request.url}\n{request.post_data}')

    toms.on('request', note)
    with toms.expect_page() as opened:
        door.get_by_role('button', name=f'Admin Console of {CUSTOMER}').click()
    console = opened.value
    expect(console).to_have_url(re.compile('/demo-console$'))
    expect(console.get_by_role('heading', level=1)).to_have_text(CUSTOMER)
    expect(console.locator('body')).to_contain_text('tom@northwind.example')

    (posted,) = [each for each in sent if each.split('\n')[0].endswith('/demo-console')]
    assertion = parse_qs(posted.split('\n')[1])['assertion'][0]
    replayed = toms.request.post('/demo-console', form={'assertion': assertion})
    assert replayed.status == 403
    assert 'used before' in replayed.text()

    dialog.get_by_role('button', name='Revoke from Tom Okafor').click()
    expect(door.get_by_role('button')).to_have_attribute('aria-disabled', 'true')
    expect(dialog.get_by_role('button', name='Revoke from Tom Okafor')).to_have_count(0)


def test_enter_in_a_list_signs_on_in_a_tab_of_its_own(visitors: Visitors) -> None:
    context = visitors.browser_of('ana')
    page = context.new_page()
    page.goto('/customers/in-progress')
    shown = List(page)
    shown.loaded()
    shown.cell(CUSTOMER, 'console').click(position={'x': 3, 'y': 30})
    with context.expect_page() as opened:
        page.keyboard.press('Enter')
    expect(opened.value.get_by_role('heading', level=1)).to_have_text(CUSTOMER)
    expect(page).to_have_url(re.compile('/customers/in-progress$'))


def test_where_nobody_holds_it_the_generic_account_grants_with_a_reason(visitors: Visitors) -> None:
    page = visitors.page('ana')
    _open_dialog(page, BASIC)
    dialog = page.get_by_role('dialog')
    expect(dialog).to_contain_text('the generic administration account grants it on your behalf')
    visitors.expect_trouble('422')
    dialog.get_by_role('button', name='Grant').click()
    expect(dialog.get_by_role('status')).to_contain_text('Reason is missing')
    dialog.get_by_label('Reason').fill('set-up of the portal')
    dialog.get_by_role('button', name='Grant').click()
    expect(dialog.get_by_role('button', name='Revoke from Ana Lindqvist')).to_be_visible()
    page.keyboard.press('Escape')
    expect(page.get_by_role('button', name='Manage access')).to_be_focused()
    expect(page.locator('.recent')).to_contain_text('on behalf of Ana Lindqvist – set-up of the portal')
    expect(page.locator('.customer-head form.console-door')).to_be_visible()
    page.get_by_role('button', name='Manage access').click()
    dialog.get_by_role('button', name='Revoke from Ana Lindqvist').click()
    expect(dialog).to_contain_text('This is your own role')
    dialog.get_by_role('button', name='Revoke', exact=True).click()
    expect(dialog.get_by_role('status')).to_contain_text('only the generic account can grant it')


def test_many_customers_are_granted_to_one_person_at_once(visitors: Visitors) -> None:
    page = visitors.page('ana', '/access')
    page.get_by_role('combobox', name='Person').select_option(label='Tom Okafor (tom@northwind.example)')
    page.get_by_role('searchbox').fill('e')
    page.get_by_role('button', name='Go').click()
    page.get_by_label('Which customers').select_option('free')
    expect(page.locator('.access-table tbody tr').first).to_be_visible()
    page.get_by_label('Choose Håkansson Forestry').check()
    page.get_by_label('Choose Dvořák Instruments').check()
    visitors.expect_trouble('409')
    page.get_by_role('button', name='Grant', exact=True).click()
    said = page.locator('.access-said')
    expect(said).to_contain_text('do not hold Partner Administrator at Dvořák Instruments')
    page.get_by_label('Choose Dvořák Instruments').uncheck()
    page.get_by_role('button', name='Grant', exact=True).click()
    expect(said).to_have_text('Tom Okafor holds Partner Administrator at 1 customer now.')
    expect(page.get_by_label('Choose Håkansson Forestry')).to_have_count(0)
    page.get_by_label('Which customers').select_option('held')
    page.get_by_label('Choose Håkansson Forestry').check()
    page.get_by_role('button', name='Revoke', exact=True).click()
    expect(said).to_contain_text('Tom Okafor holds Partner Administrator no more at 1 customer.')
    expect(page.get_by_label('Choose Håkansson Forestry')).to_have_count(0)
    page.get_by_role('combobox', name='Person').select_option(label='Ana Lindqvist (ana@northwind.example)')
    page.get_by_label('Choose Håkansson Forestry').check()
    page.get_by_role('button', name='Revoke', exact=True).click()  # one's own: asked about first
    expect(page.get_by_role('dialog', name='Revoke your own role at 1 customer?')).to_be_visible()
    page.get_by_role('button', name='Keep it').click()
    expect(page.get_by_role('button', name='Revoke', exact=True)).to_be_focused()
    expect(page.get_by_label('Choose Håkansson Forestry')).to_be_checked()
