"""Inviting somebody, and what reaches their open pages when an administrator changes them."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import List, Visitors, eventually, once
from tests.browser.portal import Portal, kept_port

pytestmark = pytest.mark.browser
NINA = 'nina@northwind.example'
PASSWORD = 'four words are plenty'
WITHIN = 5000  # ms


def _users(visitors: Visitors) -> Page:
    page = visitors.page('ana', '/users')
    expect(page.get_by_role('heading', name='Users')).to_be_visible()
    return page


def _open(page: Page, name: str) -> None:
    page.locator('.ag-row .cell-name a', has_text=name).click()
    expect(page.get_by_role('dialog').get_by_role('heading', name=name)).to_be_visible()


def _choose(page: Page, change: str, option: str, save: str) -> None:
    page.get_by_role('button', name=change).click()
    form = page.get_by_role('dialog').last
    form.get_by_role('radio', name=option).check()
    form.get_by_role('button', name=save).click()
    expect(page.get_by_role('dialog')).to_have_count(1)


@pytest.mark.alone
def test_somebody_is_invited_and_every_change_reaches_their_open_page(visitors: Visitors) -> None:
    visitors.expect_trouble('401', '404', '403', '422')  # the last questions of a page whose session has just ended
    ana = _users(visitors)
    ana.get_by_role('button', name='Invite').click()
    form = ana.get_by_role('dialog', name='Invite somebody')
    expect(form.get_by_role('button', name='Invite')).to_be_in_viewport(ratio=1)  # however long the form is
    form.get_by_role('textbox', name='Name').fill('Nina Berg')
    form.get_by_role('textbox', name='E-mail').fill(NINA)
    form.get_by_role('radio', name='MSP administrator').check()
    form.get_by_role('button', name='Invite').click()
    link = ana.get_by_role('dialog', name='Nina Berg is invited').get_by_label('Link').input_value()
    ana.keyboard.press('Escape')
    eventually(ana, lambda: _state(ana, 'Nina Berg', 'Invited'))

    nina = visitors.context().new_page()
    nina.goto(link)
    nina.get_by_label('Password', exact=True).fill(PASSWORD)
    nina.get_by_label('Password again').fill(PASSWORD)
    nina.get_by_role('button', name='Save and sign in').click()
    expect(nina.get_by_role('heading', name='Dashboard')).to_be_visible()
    eventually(ana, lambda: _state(ana, 'Nina Berg', 'Registered'))
    used = visitors.context().new_page()
    visitors.expect_trouble('410')
    used.goto(link)
    expect(used.get_by_text('This link has been used')).to_be_visible()

    nina.goto('/customers/complete')
    shown = List(nina)
    everybodys = shown.loaded()
    nina.get_by_role('button', name='Menu').click()
    expect(nina.get_by_role('link', name='Users')).to_be_visible()

    # Demoted: the menu has lost what the role does not include.
    _open(ana, 'Nina Berg')
    _choose(ana, 'Change the role', 'Read only', 'Change role')
    nina.wait_for_function(
        'document.querySelector("#menu a") && !document.querySelector("#menu a[href=\'/users\']")', timeout=WITHIN
    )
    once(nina, lambda: len(shown.loaded()) == len(everybodys))

    # Narrowed: one customer is left of the list.
    ana.get_by_role('button', name='Change what they see').click()
    form = ana.get_by_role('dialog').last
    form.get_by_role('radio', name='Only some').check()
    form.get_by_role('button', name='Save').click()
    expect(form.get_by_text('Choose customers or a tag')).to_be_visible()  # nobody is left without any by a slip
    form.get_by_role('searchbox').fill('Birch')
    form.get_by_role('button', name=re.compile('Birch Foundry')).click()
    expect(form.get_by_role('checkbox', name='They see no customer for now')).to_be_hidden()
    form.get_by_role('button', name='Save').click()
    expect(shown.count).to_have_text('1 customer', timeout=WITHIN)
    shown.expect_names('Birch Foundry')

    # Disabled: the page goes to sign-in.
    ana.get_by_role('button', name='Disable').click()
    sure = ana.get_by_role('dialog').last.get_by_role('button', name='Disable')
    expect(sure).to_contain_class('danger')
    sure.click()
    expect(nina).to_have_url(re.compile('/login'), timeout=WITHIN)
    expect(ana.get_by_role('dialog').get_by_text('Disabled: cannot sign in')).to_be_visible()


def _state(page: Page, name: str, state: str) -> None:
    assert {row['name']: row.get('state') for row in List(page).rows()}.get(name) == state


_CUT = """() => [...document.querySelectorAll('.ag-row .ag-cell')]
  .filter((each) => each.offsetParent && each.querySelector('.cell')?.textContent)
  .filter((each) => [each, ...each.querySelectorAll('*')].some((one) => one.scrollWidth > one.clientWidth + 1))
  .map((each) => each.textContent)"""


def test_no_text_is_cut_short_while_there_is_a_column_that_matters_less(visitors: Visitors) -> None:
    ana = _users(visitors)
    shown = List(ana)
    for width, gone in ((1920, set()), (1280, {'Sessions'}), (1024, {'Sessions', 'Two-factor', 'Last sign-in'})):
        ana.set_viewport_size({'width': width, 'height': 800})
        heads = ana.locator('.ag-header-cell-text')
        eventually(ana, lambda gone=gone, heads=heads: _are_gone(set(heads.all_inner_texts()), gone))
        assert shown.rows()
        eventually(ana, lambda: _none(ana.evaluate(_CUT)))


def _are_gone(heads: set[str], gone: set[str]) -> None:
    columns = {'E-mail', 'Role', 'Sees', 'State', 'Two-factor', 'Last sign-in', 'Sessions'}
    assert columns - heads == gone


def _none(cut: list[str]) -> None:
    assert cut == []


def test_a_dialog_in_which_somebody_types_is_not_taken_away(visitors: Visitors) -> None:
    visitors.expect_trouble('403')
    ana = _users(visitors)
    tom = visitors.page('tom', '/customers/complete')
    shown = List(tom)
    shown.loaded()
    shown.cell('Birch Foundry').get_by_role('link').click()
    tom.get_by_role('button', name='Infrastructure').click()
    tom.locator('#infrastructure').get_by_role('button', name='Edit', exact=True).click()
    form = tom.get_by_role('dialog')
    form.get_by_role('textbox').first.fill('birch-two.example')
    tom.evaluate('window.stillHere = true')

    _open(ana, 'Tom Okafor')
    _choose(ana, 'Change the role', 'Read only', 'Change role')
    tom.wait_for_timeout(3000)  # in which a page that nobody types in has begun anew
    assert tom.evaluate('window.stillHere') is True
    form.get_by_role('button', name='Save').click()
    expect(form.get_by_text('does not include this')).to_be_visible()
    form.get_by_role('button', name='Cancel').click()
    tom.wait_for_function('window.stillHere === undefined')


def test_a_session_that_is_ended_by_an_administrator_ends_its_page(visitors: Visitors) -> None:
    visitors.expect_trouble('401')
    ana = _users(visitors)
    tom = visitors.page('tom', '/')
    expect(tom.get_by_role('heading', name='Dashboard')).to_be_visible()
    _open(ana, 'Tom Okafor')
    panel = ana.get_by_role('dialog')
    expect(panel.get_by_role('cell', name='Open', exact=True)).to_be_visible()
    panel.get_by_role('button', name=re.compile('End the session')).first.click()
    expect(tom).to_have_url(re.compile('/login'))
    expect(panel.get_by_role('cell', name='Open', exact=True)).to_have_count(0)


def number_of(portal: Portal, who: str) -> int:
    return portal.aside(f"return (await PortalUser.get(email='{who}@northwind.example')).id")


_MAIL_SERVER = """
    partner = await Partner.get(slug='northwind-it')
    partner.smtp_host, partner.smtp_port, partner.mail_from = {host!r}, {port}, 'portal@northwind.example'
    partner.smtp_security = 'none'
    await partner.save()
"""


def test_mail_that_waits_is_seen_and_tried_again_where_one_looks(visitors: Visitors, portal: Portal) -> None:
    nowhere = kept_port()  # where nobody listens, and nobody begins to
    nobody = nowhere.getsockname()[1]
    portal.aside(_MAIL_SERVER.format(host='127.0.0.1', port=nobody))
    try:
        mail = visitors.page('ana', '/mail')
        expect(mail.get_by_text('No messages here yet')).to_be_visible()
        users = _users(visitors)
        users.get_by_role('button', name='Invite').click()
        form = users.get_by_role('dialog', name='Invite somebody')
        form.get_by_role('textbox', name='Name').fill('Olaf Lind')
        form.get_by_role('textbox', name='E-mail').fill('olaf@northwind.example')
        form.get_by_role('button', name='Invite').click()
        expect(users.get_by_role('dialog', name='It is on its way')).to_be_visible()

        # Written, tried in vain, and tried again: all of it without a reload.
        expect(mail.get_by_text(f'127.0.0.1:{nobody} cannot be reached')).to_be_visible()
        mail.locator('.ag-row .cell-name a').click()
        panel = mail.get_by_role('dialog')
        expect(panel.get_by_text('olaf@northwind.example')).to_be_visible()
        expect(panel.get_by_text('Once', exact=True)).to_be_visible()
        panel.get_by_role('button', name='Try again now').click()
        expect(panel.get_by_text('2 times')).to_be_visible()
        mail.keyboard.press('Escape')
        expect(panel).to_have_count(0)
        mail.get_by_label('Show').select_option('failed')
        expect(mail.get_by_text('No messages under')).to_be_visible()

        # The address names who is shown: another hash shows another one, and stays.
        users.keyboard.press('Escape')
        expect(users.get_by_role('dialog')).to_have_count(0)
        for number, name in ((number_of(portal, 'ana'), 'Ana Lindqvist'), (number_of(portal, 'tom'), 'Tom Okafor')):
            users.evaluate(f'location.hash = "#{number}"')
            expect(users.get_by_role('dialog')).to_have_count(1)
            expect(users.get_by_role('dialog', name=name)).to_be_visible()
            expect(users).to_have_url(re.compile(f'#{number}$'))
        # What cannot be done is said, and stays when the panel is drawn anew.
        visitors.expect_trouble('409')
        users.route('**/link', lambda route: route.fulfill(status=409, json={'error': 'Not just now.'}))
        panel = users.get_by_role('dialog')
        panel.get_by_role('button', name='Make a link to hand over').click()
        expect(panel.get_by_role('alert')).to_have_text('Not just now.')
        portal.aside("await PortalUser.filter(email='tom@northwind.example').update(name='Tom O.')")
        expect(users.get_by_role('dialog', name='Tom O.')).to_be_visible()
        expect(panel.get_by_role('alert')).to_have_text('Not just now.')
    finally:
        nowhere.close()
        portal.aside(_MAIL_SERVER.format(host='', port=587))
        portal.aside("await PortalUser.filter(email='tom@northwind.example').update(name='Tom Okafor')")
