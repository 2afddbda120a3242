"""The page of a customer as people use it: cards, notes, facts, history and attachments, live in two browsers."""

import re
import zlib
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import MARKUP, List, Visitors, connected, eventually, go_back, once
from tests.browser.portal import Portal
from tests.conftest import LONG

pytestmark = pytest.mark.browser

TITLES = (
    'Products', 'Upgrade options', 'Infrastructure', 'RFI details', 'Connect details', 'Orders', 'Monitor',
    'Customer notes', 'History log', 'Attachments',
)  # fmt: skip
KEYS = (
    'products', 'upgrades', 'infrastructure', 'rfi', 'connect', 'orders', 'monitor', 'notes', 'history', 'attachments',
)  # fmt: skip


def number(portal: Portal, name: str, partner: str = 'northwind-it') -> int:
    return portal.aside(f'return (await Customer.get(name={name!r}, partner__slug={partner!r})).id')


def card(page: Page, key: str) -> Locator:
    return page.locator(f'section#{key}')


def opened(visitors: Visitors, who: str, customer: int, *keys: str, **options: Any) -> Page:
    """The page of the customer with these cards open, live."""
    page = visitors.page(who, f'/customers/{customer}', **options)
    page.wait_for_function("document.documentElement.dataset.live === 'live'")
    for key in keys:
        head = card(page, key).locator('.fold-head')
        if head.get_attribute('aria-expanded') == 'false':
            head.click()
            expect(head).to_have_attribute('aria-expanded', 'true')
        expect(card(page, key).locator('.skeleton')).to_have_count(0)  # what comes later must not move the next one
    page.evaluate('window.stillHere = true')
    return page


def test_the_name_in_a_list_leads_to_ten_cards_in_their_order(visitors: Visitors) -> None:
    shown = List(visitors.page('ana', '/customers/in-progress'))
    shown.loaded()
    shown.cell('Moreau Notaires').get_by_role('link').click()
    page = shown.page
    expect(page.get_by_role('heading', level=1)).to_have_text('Moreau Notaires')
    assert page.locator('.fold-title').all_inner_texts() == list(TITLES)
    expect(page).to_have_title(re.compile('Moreau Notaires – MSP Portal$'))
    for panel in ('Recent customer history', 'Contacts'):
        expect(page.get_by_role('heading', name=panel)).to_be_visible()
    expect(card(page, 'connect').locator('.fold-gist')).to_contain_text('blocked at Journaling')
    go_back(page, r'/customers/\d+')
    expect(page).to_have_url(re.compile('/customers/in-progress$'))


def test_the_form_of_a_cancellation_fits_a_narrow_phone(visitors: Visitors) -> None:
    shown = visitors.page('ana', '/customers/complete', viewport={'width': 320, 'height': 640})
    shown.locator('.ag-row .cell-name a', has_text='Bellamy Freight').click()
    answers: list[str] = []
    shown.on('requestfinished', lambda request: answers.append(request.url) if '/cancellation' in request.url else None)
    # Pressed twice before the form is there: a pointer of the driver's comes too late for it on a slow machine.
    shown.get_by_role('button', name='Cancellation').evaluate('button => { button.click(); button.click(); }')
    once(shown, lambda: len(answers) >= 2)  # however often it is pressed, there is one form
    form = shown.get_by_role('dialog', name='Cancel Bellamy Freight')
    expect(form.get_by_role('button', name='Submit cancellation')).to_be_in_viewport(ratio=1)
    wide = form.evaluate("""box => [...box.querySelectorAll('input, select, p, button')].filter(
        (one) => one.getBoundingClientRect().right > box.getBoundingClientRect().right).map((one) => one.outerHTML)""")
    assert wide == []


def test_every_card_of_every_demo_customer_opens_without_a_fault(visitors: Visitors, portal: Portal) -> None:
    ids = portal.aside('return [c.id for c in await Customer.filter(partner__slug="northwind-it")]')
    page = visitors.page('ana', '/')
    for customer in ids if LONG else ids[::2]:
        page.goto(f'/customers/{customer}')
        expect(page.locator('.fold')).to_have_count(10)
        page.get_by_role('button', name='Open all').click()
        expect(page.locator('.fold-body .skeleton')).to_have_count(0)
        for text in ('undefined', 'NaN', '[object', 'null'):
            assert text not in page.locator('.customer').inner_text(), (customer, text)


def test_open_cards_are_remembered_and_opened_by_keyboard_alone(visitors: Visitors, portal: Portal) -> None:
    page = opened(visitors, 'eve', number(portal, 'Rossi & Figli', 'fabrikam-managed-services'))
    head = card(page, 'products').locator('.fold-head')
    head.focus()
    with page.expect_response('**/api/ui/open-cards'):
        page.keyboard.press('Enter')
        expect(head).to_have_attribute('aria-expanded', 'true')
    expect(card(page, 'products').get_by_role('table')).to_be_visible()
    page.goto(f'/customers/{number(portal, "Falk Maskiner", "fabrikam-managed-services")}')
    expect(card(page, 'products').locator('.fold-head')).to_have_attribute('aria-expanded', 'true')


def test_an_address_with_a_card_opens_it_and_goes_there(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page('ana', f'/customers/{number(portal, "Granite Mutual")}#attachments')
    head = card(page, 'attachments').locator('.fold-head')
    expect(head).to_have_attribute('aria-expanded', 'true')
    expect(head).to_be_focused()
    expect(head).to_be_in_viewport()


@pytest.mark.alone
def test_a_note_added_by_one_is_there_for_the_other_at_once(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    ana, tom = (opened(visitors, who, customer, 'notes', 'history') for who in ('ana', 'tom'))
    card(ana, 'notes').get_by_role('button', name='Add', exact=True).click()
    dialog = ana.get_by_role('dialog', name='Add note')
    expect(dialog.get_by_role('textbox', name='Note')).to_be_focused()
    dialog.get_by_role('textbox', name='Note').fill(
        f'First line\nsee https://example.com/a?b=1.\n{MARKUP}\njavascript:alert(3)'
    )
    dialog.get_by_role('button', name='Submit', exact=True).click()
    expect(dialog).to_have_count(0)
    for page in (ana, tom):
        note = card(page, 'notes').locator('.note-body').first
        expect(note).to_contain_text('First line', timeout=1500)
        expect(note).to_contain_text(MARKUP)
        assert note.get_by_role('link').evaluate_all('links => links.map(a => a.href)') == ['https://example.com/a?b=1']
        expect(page.locator('.recent li').first).to_contain_text('A note was added', timeout=1500)
        expect(card(page, 'history').locator('.log-row').first).to_contain_text('A note was added', timeout=1500)
        assert page.evaluate('window.stillHere') is True
    expect(card(ana, 'notes').get_by_role('button', name='Add', exact=True)).to_be_focused()


def test_the_second_of_two_editors_is_told_and_loses_nothing(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Ravensworth Estates')
    tom = opened(visitors, 'tom', customer, 'notes')
    card(tom, 'notes').get_by_role('button', name='Add', exact=True).click()
    tom.get_by_role('textbox', name='Note').fill('What it said')
    tom.get_by_role('button', name='Submit', exact=True).click()
    ana = opened(visitors, 'ana', customer, 'notes')
    for page in (ana, tom):
        page.locator('.note', has_text='What it said').get_by_role('button', name=re.compile('^Edit')).click()
    ana.get_by_role('textbox', name='Note').fill('What Ana made of it')
    tom.get_by_role('textbox', name='Note').fill('What Tom typed for half an hour')
    ana.get_by_role('button', name='Submit', exact=True).click()
    expect(card(tom, 'notes').locator('.note-body').first).to_have_text('What Ana made of it')
    expect(tom.get_by_role('textbox', name='Note')).to_have_value('What Tom typed for half an hour')
    visitors.expect_trouble('409')
    tom.get_by_role('button', name='Submit', exact=True).click()
    dialog = tom.get_by_role('dialog')
    expect(dialog).to_contain_text('What Ana made of it')
    expect(tom.get_by_role('textbox', name='Note')).to_have_value('What Tom typed for half an hour')
    dialog.get_by_role('button', name='Submit', exact=True).click()
    expect(card(ana, 'notes').locator('.note-body').first).to_have_text('What Tom typed for half an hour')
    ana.locator('.note').first.get_by_role('button', name=re.compile('^edited by')).click()
    for text in ('What it said', 'What Ana made of it'):
        expect(ana.get_by_role('dialog', name='Earlier versions')).to_contain_text(text)


def test_what_was_typed_outlives_the_dialog_a_reload_and_a_database_that_is_away(
    visitors: Visitors, portal: Portal
) -> None:
    page = opened(visitors, 'ana', number(portal, 'Granite Mutual'), 'notes')
    add = card(page, 'notes').get_by_role('button', name='Add', exact=True)
    add.click()
    page.get_by_role('textbox', name='Note').fill('Half a thought')
    page.keyboard.press('Escape')
    expect(add).to_be_focused()
    page.reload()
    add.click()
    expect(page.get_by_role('textbox', name='Note')).to_have_value('Half a thought')
    visitors.expect_trouble('503')
    sent = list[Route]()
    page.route('**/notes', lambda route: sent.append(route))
    note = page.get_by_role('textbox', name='Note')
    note.press('Control+Enter')
    once(page, lambda: bool(sent))
    # On its way, nothing is typed that would not be part of it, and nobody leaves before the answer is there.
    page.keyboard.type('lost')
    page.keyboard.press('Escape')
    page.get_by_role('button', name='Cancel', exact=True).click(force=True)
    expect(note).to_have_value('Half a thought')
    expect(note).to_be_focused()
    expect(note).not_to_be_editable()
    sent[0].fulfill(status=503, json={'error': 'Nothing was stored. Try again.'})
    expect(page.get_by_role('alert').filter(has_text='Nothing was stored')).to_be_visible()
    expect(note).to_have_value('Half a thought')
    expect(note).to_be_editable()
    page.unroute('**/notes')
    page.get_by_role('button', name='Submit', exact=True).click()
    expect(card(page, 'notes').locator('.note-body').first).to_have_text('Half a thought')
    add.click()
    expect(page.get_by_role('textbox', name='Note')).to_have_value('')


def test_a_change_by_others_neither_closes_a_dialog_nor_moves_the_page(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    page = opened(visitors, 'ana', customer, 'connect', 'monitor', 'notes', 'history')
    other = opened(visitors, 'tom', customer, 'notes')
    card(page, 'notes').get_by_role('button', name='Add', exact=True).click()
    page.get_by_role('textbox', name='Note').fill('Being typed')
    before = page.evaluate("document.querySelector('#notes').getBoundingClientRect().top")
    card(other, 'notes').get_by_role('button', name='Add', exact=True).click()
    other.get_by_role('textbox', name='Note').fill('By somebody else')
    other.get_by_role('button', name='Submit', exact=True).click()
    expect(card(page, 'notes').locator('.note-body').first).to_have_text('By somebody else')
    expect(page.get_by_role('textbox', name='Note')).to_be_focused()
    expect(page.get_by_role('textbox', name='Note')).to_have_value('Being typed')
    assert abs(page.evaluate("document.querySelector('#notes').getBoundingClientRect().top") - before) < 2


@pytest.mark.alone
def test_an_icon_that_flips_and_a_step_that_is_done_show_on_every_open_page(visitors: Visitors, portal: Portal) -> None:
    birch = number(portal, 'Birch Foundry')
    ana, tom = (opened(visitors, who, birch, 'monitor') for who in ('ana', 'tom'))
    for state, word in (('good', 'Good'), ('bad', 'Problem')):
        portal.post({'customer': 'BIR001', 'monitor': 'journal_connector', 'state': state})
        for page in (ana, tom):
            head = page.locator('.customer-signals [data-monitor=journal_connector]')
            expect(head).to_have_accessible_name(f'Journaling connector: {word}', timeout=1500)
            row = card(page, 'monitor').locator('.monitor', has_text='Journaling connector')
            expect(row).to_contain_text(word, timeout=1500)
    expect(card(ana, 'monitor').locator('.fold-gist')).to_contain_text('Problem: Journaling connector')
    plum = number(portal, 'Plum Telecom')
    pages = [opened(visitors, 'ana', plum, 'connect') for _ in range(2)]
    portal.aside(f'await (await ConnectStep.get(customer_id={plum}, key="account_configuration")).move("complete")')
    for page in pages:
        step = card(page, 'connect').locator('.step', has_text='Account configuration')
        expect(step.get_by_role('img')).to_have_accessible_name('Complete', timeout=3000)


@pytest.mark.alone
def test_facts_contacts_and_infrastructure_are_edited_where_they_stand(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Cedar Clinic')
    page, other = (opened(visitors, 'ana', customer, 'infrastructure', 'history') for _ in range(2))
    visitors.expect_trouble('422')
    page.locator('.contact', has_text='Technical contact').get_by_role('button').first.click()
    dialog = page.get_by_role('dialog', name='Technical contact')
    dialog.get_by_label('First name').fill('Zoë')
    dialog.get_by_label('E-mail').fill('not an address')
    dialog.get_by_role('button', name='Save').click()
    expect(dialog.get_by_label('E-mail')).to_be_focused()
    expect(dialog.get_by_label('E-mail')).to_have_attribute('aria-invalid', 'true')
    expect(dialog.get_by_label('First name')).to_have_value('Zoë')
    dialog.get_by_label('E-mail').fill('zoe@cedar-clinic.example.com')
    dialog.get_by_role('button', name='Save').click()
    for each in (page, other):
        expect(each.get_by_role('link', name='zoe@cedar-clinic.example.com')).to_be_visible(timeout=1500)
    card(page, 'infrastructure').get_by_role('button', name='Edit').click()
    page.get_by_label('Mail platform').select_option(label='Google Workspace')
    page.get_by_role('button', name='Save').click()
    for each in (page, other):
        expect(card(each, 'infrastructure')).to_contain_text('Google Workspace', timeout=1500)
        expect(card(each, 'history').locator('.log-row').first).to_contain_text('Google Workspace', timeout=1500)
    page.locator('.customer-head').get_by_role('button', name='Edit').click()
    page.get_by_role('dialog').get_by_label('Customer').fill('Cedar Clinics')
    page.get_by_role('button', name='Save').click()
    expect(other.get_by_role('heading', level=1)).to_have_text('Cedar Clinics', timeout=1500)


def test_who_may_not_change_anything_is_offered_nothing(visitors: Visitors, portal: Portal) -> None:
    portal.aside("""
        from models import Partner, PortalUser, PortalRole
        partner = await Partner.get(slug='northwind-it')
        from models.demo import demo_password
        await PortalUser.register(partner, name='Ray', email='ray@northwind.example',
            password=await demo_password(), role=PortalRole.READ_ONLY)
    """)
    page = opened(
        visitors, 'ray@northwind.example', number(portal, 'Granite Mutual'), 'notes', 'attachments', 'infrastructure'
    )
    expect(card(page, 'attachments').locator('.file, .calm').first).to_be_visible()
    for name in ('Add', 'Edit', re.compile('^Edit'), 'Attach …', re.compile('^Delete')):
        expect(page.get_by_role('button', name=name, exact=True)).to_have_count(0)


def test_an_upload_becomes_a_safe_pdf_in_front_of_everybody(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    ana, tom = (opened(visitors, who, customer, 'attachments') for who in ('ana', 'tom'))
    visitors.expect_trouble('415', '409')
    files = card(ana, 'attachments').locator('input[type=file]')
    files.set_input_files({'name': '../evil\u202efdp.png', 'mimeType': 'image/png', 'buffer': _png()})
    for page in (ana, tom):
        link = card(page, 'attachments').locator('.file.is-ready a').first
        expect(link).to_be_visible(timeout=60_000)  # made in a process of its own
        assert '..' not in link.inner_text()
        answer = page.request.get(link.get_attribute('href') or '')
        assert answer.status == 200
        assert answer.body().startswith(b'%PDF-')
        assert answer.headers['x-content-type-options'] == 'nosniff'
    files.set_input_files({'name': 'again.png', 'mimeType': 'image/png', 'buffer': _png()})
    expect(card(ana, 'attachments')).to_contain_text('already')
    files.set_input_files({'name': 'x.exe', 'mimeType': 'application/pdf', 'buffer': b'MZ\x90\x00\x03' + bytes(300)})
    expect(card(ana, 'attachments')).to_contain_text('not accepted')


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')

    width, height = 60, 40
    rows = b''.join(b'\x00' + b'\x20\x60\xc0' * width for _ in range(height))
    head = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + b'\x08\x02\x00\x00\x00'
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def test_a_text_that_is_erased_vanishes_from_open_pages(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Moreau Notaires')
    portal.aside(f"""
        from models.history import HistoryEvent
        found = await Customer.get(id={customer})
        by = await PortalUser.get(email='ana@northwind.example')
        for text in ('Madame Moreau is ill', 'Nothing of note'):
            await HistoryEvent.add(found.partner_id, 'customer.changed', text, customer_id=found.id, by=by)
    """)
    page = opened(visitors, 'ana', customer, 'history')
    log, recent = card(page, 'history').locator('.log'), page.locator('.recent')
    for shown in (log, recent):
        expect(shown).to_contain_text('Madame Moreau is ill')
    portal.aside(f"""
        from models.history import HistoryEvent, HistoryText
        found = await Customer.get(id={customer})
        ids = await HistoryEvent.filter(customer_id=found.id).values_list('id', flat=True)
        by = await PortalUser.get(email='ana@northwind.example')
        entry = await HistoryText.filter(event_id__in=ids, summary__contains='Madame').first()
        await HistoryEvent.erase(entry.event_id, partner_id=found.partner_id, because='asked', by=by)
    """)
    for shown in (log, recent):
        expect(shown).not_to_contain_text('Madame Moreau is ill')
        expect(shown).to_contain_text('Erased on request')
        expect(shown).to_contain_text('Nothing of note')
    assert page.evaluate('window.stillHere')


def test_a_long_history_is_loaded_as_it_is_scrolled_and_filtered(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Snake_case Systems')
    portal.aside(f"""
        from models.events import transaction
        from models.history import HistoryEvent
        from models.user import PortalUser
        ana = await PortalUser.get(email='ana@northwind.example')
        for start in range(0, 400, 100):
            async with transaction():
                for n in range(start, start + 100):
                    await HistoryEvent.add(
                        1, 'customer.changed', f'Thing {{n}}', customer_id={customer}, by=ana if n % 2 else None)
    """)
    page = opened(visitors, 'ana', customer, 'history')
    log = card(page, 'history')
    expect(log.locator('.log-row').first).to_contain_text('Thing 399')
    assert log.locator('.log-row').count() < 200
    box = log.locator('.log-box')

    def at_the_beginning() -> None:
        box.evaluate('box => box.scrollTop = box.scrollHeight')
        assert log.get_by_text('The beginning.').is_visible()

    eventually(page, at_the_beginning)
    expect(log.get_by_text('Thing 1', exact=True)).to_have_count(1)
    expect(log.get_by_text('Thing 2', exact=True)).to_have_count(0)  # neither a milestone nor done by anybody
    log.get_by_label('Kind').select_option('all')
    expect(log.locator('.log-row').nth(1)).to_contain_text('Thing 398')
    log.get_by_label('From day').fill('2020-01-01')
    log.get_by_label('Up to day').fill('2020-01-02')
    expect(log).to_contain_text('No entry is like that.')


def test_a_customer_that_is_taken_from_somebodys_sight_leaves_the_open_page(visitors: Visitors, portal: Portal) -> None:
    wharf = number(portal, 'Wharf Traders')
    portal.aside(f"""
        tom = await PortalUser.get(email='tom@northwind.example')
        await CustomerAccess.create(user=tom, customer_id={wharf}, allowed=True)
    """)
    page = opened(visitors, 'tom', wharf, 'notes')
    visitors.expect_trouble('404')
    portal.aside(f'await CustomerAccess.filter(customer_id={wharf}).delete()')
    expect(page.get_by_text('not yours to see')).to_be_visible()
    expect(page.locator('.fold')).to_have_count(0)


def test_nothing_scrolls_the_frame_away(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    page = opened(visitors, 'ana', customer, *KEYS)
    page.goto(f'/customers/{customer}#attachments')
    expect(card(page, 'attachments').locator('.fold-head')).to_be_focused()
    page.locator('#attach').focus()
    assert page.evaluate('document.scrollingElement.scrollTop') == 0
    expect(page.locator('.toolbar')).to_be_in_viewport()
    expect(page.get_by_role('heading', level=1)).to_be_in_viewport()


def test_a_draft_knows_what_it_was_typed_against(visitors: Visitors, portal: Portal) -> None:
    """Else it would silently take the place of what somebody else stored meanwhile."""
    customer = number(portal, 'Ravensworth Estates')
    portal.aside(f"""
        ana = await PortalUser.get(email='ana@northwind.example')
        await Note.add(await Customer.get(id={customer}), 'Before the draft', by=ana)
    """)
    page = opened(visitors, 'ana', customer, 'notes', 'infrastructure')
    note = page.locator('.note', has_text='Before the draft')
    note.get_by_role('button', name=re.compile('^Edit')).click()
    page.get_by_role('textbox', name='Note').fill('Typed and left')
    page.keyboard.press('Escape')
    edit = card(page, 'infrastructure').get_by_role('button', name='Edit')
    edit.click()
    page.get_by_label('Mail server').fill('Of the draft')
    page.keyboard.press('Escape')
    portal.aside(f"""
        ana = await PortalUser.get(email='ana@northwind.example')
        note = await Note.get(customer_id={customer}, body='Before the draft')
        await note.edit('Of somebody else', by=ana, seen=1)
        await Infrastructure.change(
            await Customer.get(id={customer}), {{'server_os': 'Of somebody else'}}, was=None, by=ana)
    """)
    expect(card(page, 'infrastructure')).to_contain_text('Of somebody else')
    edit.click()
    expect(page.get_by_label('Mail server')).to_have_value('Of the draft')
    page.get_by_role('button', name='Save').click()
    expect(card(page, 'infrastructure')).to_contain_text('Of the draft')
    expect(card(page, 'infrastructure')).to_contain_text('Of somebody else')
    visitors.expect_trouble('409')
    page.locator('.note', has_text='Of somebody else').get_by_role('button', name=re.compile('^Edit the')).click()
    expect(page.get_by_role('textbox', name='Note')).to_have_value('Typed and left')
    page.get_by_role('button', name='Submit', exact=True).click()
    expect(page.get_by_role('dialog')).to_contain_text('Of somebody else')


def test_a_draft_is_shown_to_nobody_else(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    page = opened(visitors, 'ana', customer, 'notes')
    card(page, 'notes').get_by_role('button', name='Add', exact=True).click()
    page.get_by_role('textbox', name='Note').fill('Hers')
    page.keyboard.press('Escape')
    page.goto('about:blank')  # a page that is open would ask for something without a session
    page.context.clear_cookies()
    page.context.request.post('/login', form={'email': 'tom@northwind.example', 'password': portal.password})
    page.goto('/help')
    page.goto(f'/customers/{customer}#notes')
    card(page, 'notes').get_by_role('button', name='Add', exact=True).click()
    expect(page.get_by_role('textbox', name='Note')).to_have_value('')


def test_notes_that_were_shown_stay_and_keep_the_focus_when_others_come(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Snake_case Systems')
    add = f"""
        ana = await PortalUser.get(email='ana@northwind.example')
        customer = await Customer.get(id={customer})
        for n in range({{}}):
            await Note.add(customer, f'Note {{{{n}}}} https://example.com/{{{{n}}}}', by=ana)
    """
    portal.aside(add.format(32))
    page = opened(visitors, 'ana', customer, 'notes')
    notes = card(page, 'notes')
    expect(notes.locator('.note')).to_have_count(30)
    link = notes.locator('.note-body a').nth(3)
    link.focus()
    portal.aside(add.format(1))
    expect(notes.locator('.note')).to_have_count(31)
    expect(page.locator(':focus')).to_have_attribute('href', 'https://example.com/28')
    notes.get_by_role('button', name='Older notes').click()
    expect(notes.locator('.note')).to_have_count(33)
    expect(notes.get_by_role('button', name='Older notes')).to_be_hidden()


def test_cards_that_were_opened_just_before_leaving_are_remembered(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Übersee Kaffee', 'fabrikam-managed-services')
    page = visitors.page('eve', f'/customers/{customer}')
    head = card(page, 'upgrades').locator('.fold-head')
    was = head.get_attribute('aria-expanded')
    connected(page)
    with page.expect_response('**/api/ui/open-cards'):
        head.click()
        page.locator('.customer-facts a').click()
    expect(page.locator('.grid')).to_be_visible()
    go_back(page, '/customers/[a-z-]+')
    expect(head).to_have_attribute('aria-expanded', 'false' if was == 'true' else 'true')


def test_an_open_page_offers_what_its_viewer_may_do_by_now(visitors: Visitors, portal: Portal) -> None:
    page = opened(visitors, 'tom', number(portal, 'Bellamy Freight'), 'notes')
    add = card(page, 'notes').get_by_role('button', name='Add', exact=True)
    expect(add).to_be_visible()
    portal.aside("await PortalUser.filter(email='tom@northwind.example').update(role=PortalRole.READ_ONLY)")
    expect(add).to_have_count(0)
    portal.aside("await PortalUser.filter(email='tom@northwind.example').update(role=PortalRole.TECHNICIAN)")
    expect(add).to_be_visible()


def test_a_page_that_cannot_be_read_says_so_until_it_can(visitors: Visitors, portal: Portal) -> None:
    customer = number(portal, 'Bellamy Freight')
    page = opened(visitors, 'ana', customer, 'notes')
    visitors.expect_trouble('503', '403')
    page.evaluate(
        """() => {
            const wait = window.setTimeout;
            window.setTimeout = (act, ms, ...more) => {
                if (ms === 1500) window.tries += 1;
                return wait(act, ms, ...more);
            };
        }"""
    )
    # It tries again by itself, but not what is refused: that is asked for once, and with whatever changes next.
    refuses: dict[str, Any] = {'json': {'error': 'Not just now.'}}
    for status, tries, text in ((503, True, 'Rings back'), (403, False, 'Rang twice')):
        page.evaluate('window.tries = 0')
        refuses['status'] = status
        page.route('**/parts?*', lambda route: route.fulfill(**refuses))
        ana = "ana = await PortalUser.get(email='ana@northwind.example')"
        portal.aside(f"{ana}\nawait Note.add(await Customer.get(id={customer}), '{text}', by=ana)")
        expect(page.get_by_role('alert')).to_have_text('What is shown here may be old: Not just now.')
        assert bool(page.evaluate('window.tries')) is tries
        page.unroute('**/parts?*')
        if not tries:
            portal.aside(f"{ana}\nawait Note.add(await Customer.get(id={customer}), 'And then', by=ana)")
        expect(card(page, 'notes').get_by_text(text)).to_be_visible()
        expect(page.get_by_role('alert')).to_have_count(0)


@pytest.mark.parametrize('width', [390, 1440])
def test_axe_finds_nothing_serious_on_the_page_of_a_customer(visitors: Visitors, portal: Portal, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ('light', 'dark'):
        size = {'width': width, 'height': 900}
        page = opened(visitors, 'ana', number(portal, 'Moreau Notaires'), color_scheme=scheme, viewport=size)
        page.get_by_role('button', name='Open all').click()
        expect(page.locator('.fold-body .skeleton')).to_have_count(0)
        card(page, 'notes').get_by_role('button', name='Add', exact=True).click()
        for _ in range(2):  # with the dialog, then without
            found = Axe().run(page).response['violations']
            serious = [v for v in found if v['impact'] in ('serious', 'critical')]
            assert not serious, [(v['id'], [n['html'][:160] for n in v['nodes'][:3]]) for v in serious]
            page.keyboard.press('Escape')
