"""Finding anything by keyboard alone, adding a customer, importing from a file, and reading the audit."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Visitors, connected

pytestmark = pytest.mark.browser
PHONE: ViewportSize = {'width': 390, 'height': 844}


def opened(page: Page) -> Page:
    expect(page.get_by_role('dialog')).to_have_count(0)  # the one before is on its way out
    page.keyboard.press('Control+k')
    expect(page.get_by_role('combobox', name='Find')).to_be_focused()
    expect(page.locator('.find-option').first).to_be_visible()
    return page


def expect_chosen(page: Page, name: str) -> None:
    """This is chosen, as a screen reader is told it by the box."""
    page.wait_for_function(
        "name => document.getElementById(document.activeElement?.getAttribute('aria-activedescendant'))"
        "?.querySelector('.find-name').textContent === name",
        arg=name,
    )


# -- Ctrl-K -----------------------------------------------------------------------------------------------------------


def test_a_customer_is_found_and_opened_without_touching_the_mouse(visitors: Visitors) -> None:
    page = visitors.page('ana', '/')
    page.get_by_role('heading', name='Dashboard', level=1).wait_for()
    connected(page)
    page.evaluate('window.still = true')
    opened(page)
    page.keyboard.type('birch f')
    expect_chosen(page, 'Birch Foundry')
    option = page.get_by_role('option', selected=True)
    expect(option.locator('mark').first).to_have_text('Birch')
    expect(option).to_contain_text('BIR001')
    expect(option).to_contain_text('Complete')
    expect(option.get_by_role('img')).to_have_attribute('aria-label', re.compile('.'))
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', name='Birch Foundry', level=1)).to_be_visible()
    expect(page.get_by_role('dialog')).to_have_count(0)
    assert page.evaluate('window.still'), 'the page was loaded anew'
    # And it is the first of those that were opened lately.
    opened(page)
    expect(page.get_by_text('Opened lately')).to_be_visible()
    page.keyboard.press('ArrowDown')
    expect_chosen(page, 'Birch Foundry')


def test_arrows_home_and_end_walk_through_what_was_found_and_escape_leaves(visitors: Visitors) -> None:
    page = visitors.page('ana', '/customers/complete')
    page.locator('#search').focus()
    opened(page)
    names = page.locator('.find-name').all_inner_texts()
    page.keyboard.press('ArrowDown')
    expect_chosen(page, names[0])
    page.keyboard.press('ArrowDown')
    expect_chosen(page, names[1])
    page.keyboard.press('End')
    expect_chosen(page, names[-1])
    page.keyboard.press('ArrowDown')
    expect_chosen(page, names[0])
    page.keyboard.press('ArrowUp')
    expect_chosen(page, names[-1])
    page.keyboard.press('Home')
    expect_chosen(page, names[0])
    page.keyboard.press('Escape')
    expect(page.get_by_role('dialog')).to_have_count(0)
    expect(page.locator('#search')).to_be_focused()


def test_pages_and_actions_are_found_and_done(visitors: Visitors) -> None:
    visitors.expect_trouble('Failed to load resource.*401')  # what is on its way while the session ends
    page = visitors.page('ana', '/')
    opened(page)
    page.keyboard.type('audit')
    expect_chosen(page, 'Audit')
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', name='Audit', level=1)).to_be_visible()
    opened(page)
    page.keyboard.type('theme: dark')
    expect_chosen(page, 'Theme: Dark')
    page.keyboard.press('Enter')
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    opened(page)
    page.keyboard.type('sign out')
    expect_chosen(page, 'Sign out')
    page.keyboard.press('Enter')
    page.wait_for_url('**/login*')


def test_what_is_typed_and_entered_at_once_opens_what_it_finds(visitors: Visitors) -> None:
    """The answer comes after Enter: what was found for fewer letters must not be opened in its place."""
    page = visitors.page('ana', '/')
    opened(page)
    page.keyboard.type('birch', delay=0)
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', name='Birch Foundry', level=1)).to_be_visible()


_LATE = """() => {
  const real = window.fetch;
  window.fetch = (address, options) => (String(address).endsWith('find?q=c') ? new Promise((done) => {
    const customers = [{ id: 1, name: 'Too late', code: 'X', domain: '', listing: '', worst: 4 }];
    window.answer = () => done(new Response(JSON.stringify({ customers })));
  }) : real(address, options));
}"""


def test_a_late_answer_does_not_replace_a_newer_one(visitors: Visitors) -> None:
    page = visitors.page('ana', '/')
    page.evaluate(_LATE)
    opened(page)
    page.keyboard.type('c')
    page.wait_for_function('() => Boolean(window.answer)')
    page.keyboard.type('edar')
    expect_chosen(page, 'Cedar Clinic')
    page.evaluate('answer()')
    page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done)))')
    expect_chosen(page, 'Cedar Clinic')
    expect(page.get_by_text('Too late')).to_have_count(0)


def test_nothing_found_and_nothing_answered_are_said(visitors: Visitors) -> None:
    visitors.expect_trouble('500', 'Failed to load')
    page = visitors.page('ana', '/')
    opened(page)
    page.keyboard.type('no such thing')
    expect(page.get_by_text('Nothing is called “no such thing”')).to_be_visible()
    page.route('**/api/ui/find?q=*', lambda route: route.fulfill(status=500, json={'error': 'It is broken.'}))
    page.keyboard.type('s')
    expect(page.get_by_text('Customers cannot be searched just now.')).to_be_visible()
    page.unroute('**/api/ui/find?q=*')
    page.locator('.find-box').fill('cedar')
    expect_chosen(page, 'Cedar Clinic')


def test_ctrl_enter_opens_another_tab_and_leaves_this_one(visitors: Visitors) -> None:
    page = visitors.page('ana', '/')
    opened(page)
    page.keyboard.type('cedar')
    expect_chosen(page, 'Cedar Clinic')
    with page.context.expect_page() as other:
        page.keyboard.press('Control+Enter')
    expect(other.value.get_by_role('heading', name='Cedar Clinic', level=1)).to_be_visible()
    expect(page.get_by_role('combobox', name='Find')).to_be_focused()


def test_it_is_there_on_a_phone_too(visitors: Visitors) -> None:
    page = visitors.page('ana', '/customers/complete', viewport=PHONE)
    page.get_by_role('button', name='Find anything').click()
    expect(page.get_by_role('combobox', name='Find')).to_be_focused()  # its module is loaded on first use
    page.keyboard.type('wharf')
    page.get_by_role('option', name=re.compile('Wharf Traders')).click()
    expect(page.get_by_role('heading', name='Wharf Traders', level=1)).to_be_visible()
    opened(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= PHONE['width']


def test_a_name_that_is_markup_is_a_text(visitors: Visitors) -> None:
    page = visitors.page('ana', '/')
    opened(page)
    page.keyboard.type('script')
    expect(page.get_by_text('<script>alert(1)</script> Ltd', exact=True)).to_be_visible()


# -- adding and importing ---------------------------------------------------------------------------------------------


def test_a_customer_is_added_by_the_form_and_what_is_wrong_stands_beside_its_field(visitors: Visitors) -> None:
    visitors.expect_trouble('422')
    page = visitors.page('ana', '/customers/in-progress')
    page.get_by_role('link', name='Add a customer').click()
    expect(page.get_by_role('heading', name='Add a customer', level=1)).to_be_visible()
    page.get_by_label('Name').fill('Juniper Joinery')
    page.get_by_label('Account code').fill('bir001')
    page.get_by_label('Licences').fill('25')
    page.get_by_role('checkbox', name='SEC+ARC').check()
    page.get_by_role('radio', name=re.compile('There is no RFI')).check()
    page.get_by_role('button', name='Add the customer').click()
    expect(page.get_by_text(re.compile('“bir001” is the account code of another customer'))).to_be_visible()
    expect(page.get_by_label('Account code')).to_be_focused()
    page.reload()
    expect(page.get_by_label('Name')).to_have_value('Juniper Joinery')
    page.get_by_label('Account code').fill('JUN001')
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', name='Juniper Joinery', level=1)).to_be_visible()
    page.wait_for_url(re.compile(r'/customers/\d+$'))


def test_a_file_is_looked_at_and_then_imported(visitors: Visitors, tmp_path: Path) -> None:
    file = tmp_path / 'spring.csv'
    file.write_text(
        'name,account_code,licences,rfi\nLarch Law,LAR001,12,n/a\n,CED001,61,\nOak Optics,OAK001,many,n/a\n'
    )
    page = visitors.page('ana', '/customers/in-progress')
    page.get_by_role('link', name='Import').click()
    page.locator('#import-file').set_input_files(file)
    expect(page.get_by_role('heading', name='What would change')).to_be_visible()
    expect(page.locator('.figure-small dd')).to_have_text(['1', '1', '0', '1'])
    expect(page.locator('.changes').first).to_contain_text(re.compile(r'Licences:\s*60.*61'))
    expect(page.get_by_text('is not a whole number')).to_be_visible()
    with page.expect_download() as download:
        page.locator('a', has_text='CSV').click()
    assert 'licences' in Path(download.value.path()).read_text(encoding='utf-8-sig')
    page.get_by_role('radio', name=re.compile('Import nothing')).check()
    expect(page.get_by_role('button', name='Import 2 customers')).to_have_attribute('aria-disabled', 'true')
    page.get_by_role('radio', name=re.compile('Import the others')).check()
    page.get_by_role('button', name='Import 2 customers').click()
    expect(page.get_by_text('spring.csv was imported.')).to_be_visible()
    page.goto('/')
    page.goto('/customers/import')  # whoever comes back sees what became of it
    expect(page.get_by_text('spring.csv was imported.')).to_be_visible()
    page.goto('/audit')
    expect(page.locator('.log-what').first).to_contain_text('spring.csv')
    # What cannot be read is not shown as what was chosen, and asked for again.
    visitors.expect_trouble('503')
    page.route('**/api/ui/audit?group=*', lambda route: route.fulfill(status=503, json={'error': 'not now.'}))
    page.get_by_label('Kind').select_option('Sign-ins')
    expect(page.get_by_text('The audit cannot be read: not now.')).to_be_visible()
    expect(page.locator('.log-what')).to_have_count(0)
    page.unroute('**/api/ui/audit?group=*')
    expect(page.locator('.log-what').first).to_contain_text('signed in')
    page.get_by_label('Person').select_option('Ana Lindqvist')
    page.reload()  # as in lists, what was chosen is in the address
    expect(page.get_by_label('Person').locator('option:checked')).to_have_text('Ana Lindqvist')
    expect(page.get_by_label('Kind').locator('option:checked')).to_have_text('Sign-ins')
    expect(page.locator('.log-what').first).to_contain_text('signed in')


def test_who_may_not_is_offered_neither(visitors: Visitors) -> None:
    page = visitors.page('tom', '/customers/complete')
    expect(page.locator('.table-tools summary', has_text='Columns')).to_be_visible()
    expect(page.locator('.table-tools', has_text='Export')).to_have_count(0)
    expect(page.get_by_role('link', name='Import')).to_have_count(0)
    opened(page)
    page.keyboard.type('audit')
    expect(page.get_by_text(re.compile('Nothing is called'))).to_be_visible()
