"""The whole life of a customer in one browser, and every stage of it on somebody else's screen without a reload: a
prospect, its order, the RFI form by the link in a mail, Connect, complete, more licences.

Around the portal are a real mail server and a real name server; nothing waits but for what it is waiting for.
"""

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitors, eventually
from tests.browser.portal import Portal
from tests.browser.test_customer import card
from tests.name_server import NameServer, name_server
from tests.smtp import Post, mail_server

pytestmark = pytest.mark.browser

NAME, DOMAIN, LEAD, DESK = 'Søndergård & Hawthorn', 'hawthorn.example', 'lea@hawthorn.example', 'orders@vendor.example'
CODE = 'HAW0042'
BOARD = '/connect'
WIDE = {'width': 5400, 'height': 1400}  # a wall that shows every column: those that are far away are not drawn
JOBS = 45_000  # ms within which a job has come round, on a busy machine too
BEFORE = (('mx1.old-host.example',), 'v=spf1 include:_spf.old-host.example -all')
AFTER = (('eu-in-1.vendor.example', 'eu-in-2.vendor.example'), 'v=spf1 include:_spf.vendor.example -all')
_SETTINGS = f"""
    northwind = await Partner.get(slug='northwind-it')
    await Partner.filter(id=northwind.id).update(
        smtp_host='127.0.0.1', smtp_port={{port}}, smtp_security='none', mail_from='portal@northwind.example',
        order_desk={DESK!r}, mx_hosts=['vendor.example'], spf_include='_spf.vendor.example',
    )
    ana = await PortalUser.get(email='ana@northwind.example')
    mia = PortalUser(
        partner=northwind, email='mia@northwind.example', role=PortalRole.IMPLEMENTATION,
        registered_at=datetime.now(UTC), password_hash=ana.password_hash,
    )
    mia.set_name('Mia Sand')
    await mia.save()
"""


# -- what is around the portal ----------------------------------------------------------------------------------------


class Outside:
    """The mail server and the name server, in a thread of their own."""

    def __init__(self) -> None:
        self.post = Post()
        self.names: NameServer
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._ready, self._over = threading.Event(), asyncio.Event()

    async def _serve(self) -> None:
        async with mail_server(self.post) as self.port, name_server() as self.names:
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> 'Outside':
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def mail_to(self, page: Page, recipient: str, subject: str = '') -> EmailMessage:
        """The newest message to them with this in its subject, as soon as it is there."""

        def arrived() -> EmailMessage:
            mails = [m for m in self.post.got if str(m['To']) == recipient and subject in str(m['Subject'])]
            assert mails, [(str(m['To']), str(m['Subject'])) for m in self.post.got]
            return mails[-1]

        return eventually(page, arrived, JOBS / 1000)


@pytest.fixture(scope='module')
def outside() -> Iterator[Outside]:
    with Outside() as outside:
        yield outside


@pytest.fixture(scope='module')
def portal(
    prepared: tuple[Path, dict[str, str]], outside: Outside, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    """A portal that knows these servers, where it is itself, and one person more: Mia."""
    data, tokens = prepared
    copied = Path(shutil.copytree(data, tmp_path_factory.mktemp('life') / 'data'))
    portal = Portal(copied, PORTAL_DNS=outside.names.address)
    portal.environment['PORTAL_PUBLIC_URL'] = portal.address
    portal.tokens = tokens
    portal.aside(_SETTINGS.format(port=outside.port))
    try:
        yield portal.start()
    finally:
        portal.stop()
    assert 'Traceback' not in portal.printed(), portal.printed()[-6000:]


# -- what is looked at ------------------------------------------------------------------------------------------------


class Watcher:
    """Somebody who looks at a page for each stage, all open at once, and never reloads one."""

    def __init__(self, visitors: Visitors) -> None:
        self.context = visitors.browser_of('mia@northwind.example')
        self.pages: dict[str, Page] = {}

    def open(self, address: str) -> Page:
        page = self.pages[address] = self.context.new_page()
        page.goto(address)
        page.wait_for_function("document.documentElement.dataset.live === 'live'")
        page.evaluate('window.stillHere = true')
        return page

    def row(self, address: str) -> Locator:
        """The customer in one of the lists, by the name."""
        return self.pages[address].locator('.grid .ag-cell[col-id="name"]').get_by_text(NAME, exact=True)

    def cell(self, address: str, column: str) -> Locator:
        """Another cell of the same row; a row is in several parts, which only its id holds together."""
        expect(self.row(address)).to_have_count(1)
        row = self.row(address).evaluate('cell => cell.closest(".ag-row").getAttribute("row-id")')
        return self.pages[address].locator(f'.grid .ag-row[row-id="{row}"] .ag-cell[col-id="{column}"]')

    def column(self) -> Locator:
        """The heading of the column of the board that has the customer's card in it."""
        board = self.pages[BOARD]
        return board.locator('.board-column', has=board.locator('.board-card', has_text=NAME)).locator('.board-head')

    def expect_unloaded(self) -> None:
        for address, page in self.pages.items():
            assert page.evaluate('window.stillHere') is True, f'{address} was loaded anew'


def _open(page: Page, *keys: str) -> None:
    for key in keys:
        head = card(page, key).locator('.fold-head')
        if head.get_attribute('aria-expanded') == 'false':
            head.click()
        expect(head).to_have_attribute('aria-expanded', 'true')
        expect(card(page, key).locator('.skeleton')).to_have_count(0)


def _step(page: Page, title: str) -> Locator:
    return card(page, 'connect').locator('.step').filter(has=page.get_by_text(title, exact=True))


def _expect_step(page: Page, title: str, state: str) -> None:
    expect(_step(page, title).get_by_role('img').first).to_have_accessible_name(state, timeout=JOBS)


def _more(page: Page, title: str) -> Locator:
    """The step with all that is told of it."""
    fold = _step(page, title).get_by_role('button', name='More about')
    if fold.get_attribute('aria-expanded') == 'false':
        fold.click()
    expect(fold).to_have_attribute('aria-expanded', 'true')
    return _step(page, title)


def _move(page: Page, title: str, verb: str, because: str = '') -> None:
    _more(page, title).get_by_role('button', name=f'{verb} {title}', exact=True).click()
    if because:
        dialog = page.get_by_role('dialog')
        dialog.get_by_role('textbox').fill(because)
        dialog.get_by_role('button', name=verb, exact=True).click()
        expect(dialog).to_have_count(0)


def _do(page: Page, other: Page, title: str) -> None:
    """Start and complete a step, each as soon as the one before is seen by both."""
    for verb, state in (('Start', 'In progress'), ('Complete', 'Complete')):
        _move(page, title, verb)
        _expect_step(page, title, state)
        _expect_step(other, title, state)


def _check(page: Page, title: str) -> None:
    _more(page, title).get_by_role('button', name=re.compile('Check now|Being checked')).click()


def _text(pdf: bytes) -> str:
    """All that can be read in a PDF; every page of it has something on it."""
    document = pypdfium2.PdfDocument(pdf)
    pages = [page.get_textpage().get_text_range() for page in document]
    assert pages, 'no page'
    assert all(page.strip() for page in pages), 'an empty page'
    return ' '.join('\n'.join(pages).split())


def _documents(page: Page) -> list[str]:
    """The texts of all three documents of the customer."""
    _open(page, 'attachments')
    links = card(page, 'attachments').locator('.file-what').get_by_role('link')
    expect(links).to_have_count(3)
    answers = [page.context.request.get(str(link.get_attribute('href'))) for link in links.all()]
    assert [answer.status for answer in answers] == [200] * 3
    return [_text(answer.body()) for answer in answers]


# -- the story --------------------------------------------------------------------------------------------------------


def test_the_life_of_a_customer_from_a_prospect_to_more_licences(
    visitors: Visitors, portal: Portal, outside: Outside
) -> None:
    visitors.expect_trouble('410')  # a look for what others saved, on its way while the form becomes complete
    outside.names.mail(DOMAIN, *BEFORE[0], spf=BEFORE[1])
    watcher = Watcher(visitors)
    for address in ('/prospects', '/customers/waiting', '/customers/in-progress', '/customers/complete'):
        watcher.open(address)
    watcher.open(BOARD).set_viewport_size(WIDE)
    ana = visitors.page('ana', '/prospects/new')

    _prospect(ana, watcher)
    customer = _order(ana, watcher)
    life = watcher.open(f'/customers/{customer}')
    _open(life, 'orders', 'rfi', 'connect', 'attachments', 'history')
    _open(ana, 'orders', 'rfi', 'connect', 'attachments')
    _delivery(ana, life, outside)
    _form(visitors, ana, life, watcher, outside)
    _connect(ana, life, watcher, portal, outside)
    _licences(ana, life, watcher, outside, customer)
    _story(life)
    watcher.expect_unloaded()


def _prospect(ana: Page, watcher: Watcher) -> None:
    def field(name: str) -> Locator:
        return ana.get_by_role('textbox', name=name, exact=True)

    field('Company name').fill(NAME)
    field('Domain').fill(DOMAIN)
    ana.get_by_role('button', name='Verify').click()
    found = ana.locator('.prospect-found')
    expect(found).to_contain_text(BEFORE[0][0])
    expect(found).to_contain_text(BEFORE[1])
    field('First name').fill('Lea')
    field('Last name').fill('Søndergård')
    field('E-mail').fill(LEAD)
    field('Licences').fill('25')
    ana.get_by_role('checkbox', name='SEC+ARC Email Security and Archiving').check()
    ana.get_by_role('button', name='Save prospect').click()
    expect(ana).to_have_url(re.compile(r'/prospects/\d+$'))
    expect(watcher.cell('/prospects', 'state')).to_have_text('Open')
    expect(ana.locator('.prospect-found')).to_contain_text(BEFORE[0][0])


def _order(ana: Page, watcher: Watcher) -> int:
    """Provision, and the customer that it makes."""
    ana.get_by_role('region', name='Order').get_by_role('link', name='Provision').click()
    expect(ana.get_by_role('heading', level=1)).to_have_text(f'Order for {NAME}')
    expect(ana.get_by_label('Licences', exact=True)).to_have_value('25')
    ana.get_by_label('URL protection TTP-URL').check()
    ana.get_by_label('Licences of URL protection, if not all').fill('10')
    ana.get_by_label('Mail server').select_option('microsoft_365')
    ana.get_by_label('Order (PO) number').fill('PO 4711/26')
    ana.get_by_role('button', name='Review order').click()
    expect(ana.get_by_role('heading', name='Review the order')).to_be_visible()
    expect(ana.get_by_label('Products and fees')).to_contain_text('URL protection')
    ana.get_by_label('This order is governed by').check()
    ana.get_by_label('I am authorised to place this order.').check()
    ana.get_by_role('button', name='Submit order').click()
    ana.wait_for_url(re.compile(r'/customers/\d+#orders$'))
    expect(ana.locator('#orders').get_by_role('status')).to_contain_text('The RFI form is on its way to')
    expect(ana.get_by_role('heading', level=1)).to_have_text(NAME)
    expect(watcher.row('/customers/waiting')).to_have_count(1)
    expect(watcher.cell('/customers/waiting', 'rfi')).to_be_visible()
    expect(watcher.row('/prospects')).to_have_count(0)
    expect(watcher.column()).to_contain_text('Waiting for RFI')
    return int(ana.url.rpartition('/')[2].partition('#')[0])


def _delivery(ana: Page, life: Page, outside: Outside) -> None:
    """The vendor's order desk has the order as a PDF."""
    mail = outside.mail_to(ana, DESK, 'ORD-')
    (document,) = mail.iter_attachments()
    said = _text(document.get_content())
    for text in (NAME, 'PO 4711/26', 'Email Security', 'URL protection', 'Lea Søndergård', 'Page 1 of'):
        assert text in said, (text, said)
    expect(card(life, 'orders')).to_contain_text(f'by e-mail to {DESK}', timeout=JOBS)
    expect(life.locator('.customer-facts')).to_contain_text('provisional')


def _form(visitors: Visitors, ana: Page, life: Page, watcher: Watcher, outside: Outside) -> None:
    """The implementation lead, who has no account, fills in the form by the link in the mail."""
    mail = outside.mail_to(ana, LEAD)
    body = mail.get_body(('plain',))
    assert body is not None
    (link,) = re.findall(r'http://\S+/rfi/\S+', body.get_content())
    lead = visitors.context(viewport={'width': 390, 'height': 844}).new_page()
    lead.goto(link)
    expect(lead.get_by_role('heading', level=1)).to_have_text(f'Request for Information about {NAME}')
    expect(watcher.cell('/customers/waiting', 'rfi_form__opened_at')).to_have_text(re.compile(r'\d\d:\d\d'))
    expect(lead.get_by_label('Mail platform')).to_have_value('microsoft_365')  # as it was ordered
    for label, value in (
        ('First name', 'Lea'), ('Last name', 'Søndergård'), ('E-mail', LEAD), ('Mobile', '+44 7700 900123'),
        ('Inbound host names', 'hawthorn-example.mail.protection.outlook.com'),
        ('Tenant domain', 'hawthorn.onmicrosoft.com'), ('Journal address', 'journal@journal.vendor.example'),
    ):  # fmt: skip
        if label == 'Tenant domain':
            lead.get_by_label('Active Directory environment').select_option('entra_id')
        lead.get_by_label(label, exact=True).fill(value)
    # An address that is one, and not that of a provider: it takes all answers to see it.
    lead.get_by_label('Partner administrator’s e-mail').fill(f'admin@{DOMAIN}')
    lead.get_by_label('Recipient validation').select_option('known')
    lead.get_by_label('Protocol').select_option('smtp')
    expect(lead.locator('[aria-invalid=true]')).to_have_count(0)
    lead.get_by_label(re.compile('accurate')).check()
    lead.get_by_role('button', name='Send the form back').click()
    summary = lead.get_by_role('group', name='To be corrected')
    expect(summary).to_contain_text('must be an address of your provider')

    expect(watcher.row('/customers/waiting')).to_have_count(0)
    icon = watcher.cell('/customers/in-progress', 'rfi').get_by_role('img')
    expect(icon).to_have_accessible_name('RFI error')
    expect(watcher.column()).to_contain_text('RFI received')
    expect(card(life, 'rfi')).to_contain_text('must be an address of your provider')
    _expect_step(life, 'Request for Information', 'Incomplete')
    expect(_step(life, 'Request for Information')).to_contain_text('In error: 1 field to correct')

    summary.get_by_role('link').click()
    wrong = lead.get_by_label('Partner administrator’s e-mail')
    expect(wrong).to_be_focused()
    expect(wrong).to_have_attribute('aria-invalid', 'true')
    wrong.fill('mia@northwind.example')
    lead.get_by_label(re.compile('accurate')).check()
    lead.get_by_role('button', name='Send the form back').click()
    expect(lead.get_by_text('Thank you.')).to_be_in_viewport()
    expect(lead.get_by_role('alert').filter(visible=True)).to_have_count(0)
    expect(icon).to_have_accessible_name('RFI complete')
    expect(card(life, 'rfi').locator('.fold-gist')).to_have_text('Complete')
    _expect_step(life, 'Request for Information', 'Complete')
    expect(card(life, 'attachments')).to_contain_text(f'RFI {NAME}')
    expect(watcher.column()).to_contain_text('Account configuration')


def _connect(ana: Page, life: Page, watcher: Watcher, portal: Portal, outside: Outside) -> None:
    # The vendor's step: on its behalf and with a reason, until the account is there; then its check passes.
    _move(ana, 'Account configuration', 'Start', 'Kim at the vendor is setting it up')
    _expect_step(life, 'Account configuration', 'In progress')
    found = _more(life, 'Account configuration').locator('.evidence')
    expect(found).to_contain_text('until the vendor accepts', timeout=JOBS)
    card(ana, 'orders').get_by_role('button', name='Accepted').click()
    ana.get_by_role('dialog').get_by_label('Account code').fill(CODE)
    ana.get_by_role('dialog').get_by_role('button', name='Record').click()
    expect(life.locator('.customer-facts')).to_contain_text(CODE)
    expect(life.locator('.customer-facts')).not_to_contain_text('provisional')
    _expect_step(life, 'Account configuration', 'Complete')

    _do(ana, life, 'Validate domains')

    # Outbound: the customer has not changed its SPF record yet, and then has.
    _check(ana, 'Outbound email')
    expect(_step(ana, 'Outbound email').locator('.evidence')).to_contain_text('_spf.old-host.example')
    expect(watcher.cell('/customers/in-progress', 'connect_status')).to_have_text('Outbound email')
    outside.names.mail(DOMAIN, *BEFORE[0], spf=AFTER[1])
    _check(ana, 'Outbound email')
    _expect_step(life, 'Outbound email', 'Complete')
    signal = life.locator('.customer-signals [data-monitor=outbound_queue]')
    expect(signal).to_have_accessible_name('Outbound email queue: Unknown')

    # Readings from the collector: the directory and the journal are seen to work, and their steps are done by it.
    good = [{'monitor': 'directory_connector', 'state': 'good'}, {'monitor': 'journal_queue', 'value': 0},
            {'monitor': 'journal_connector', 'state': 'good'}]  # fmt: skip
    portal.post(*({'customer': CODE, **each} for each in good))
    for title in ('Directory synchronization', 'Journaling'):
        _check(ana, title)
        _expect_step(life, title, 'Complete')
    for title in ('User authentication', 'Permitted senders'):
        _move(ana, title, 'Skip', 'Not wanted')
        _expect_step(life, title, 'Skipped')
    _do(ana, life, 'Recipient validation')

    # Inbound: the check comes round by itself; what the domain says by then is right.
    outside.names.mail(DOMAIN, *AFTER[0], spf=AFTER[1])
    _expect_step(life, 'Inbound email', 'Complete')
    portal.post({'customer': CODE, 'monitor': 'outbound_queue', 'value': 3},
                {'customer': CODE, 'monitor': 'inbound_queue', 'value': 1})  # fmt: skip
    expect(signal).to_have_accessible_name(re.compile('Outbound email queue: Good'))
    _check(ana, 'Service Monitor and alerts')
    _expect_step(life, 'Service Monitor and alerts', 'Complete')
    expect(watcher.column()).to_contain_text('Sign-off')
    _do(ana, life, 'Sign-off')
    expect(watcher.column()).to_contain_text('Ready to complete')

    assert watcher.row('/customers/complete').count() == 0
    card(ana, 'connect').get_by_role('button', name='Confirm that Connect is complete').last.click()
    expect(watcher.row('/customers/complete')).to_have_count(1)
    expect(watcher.row('/customers/in-progress')).to_have_count(0)
    expect(watcher.pages[BOARD].locator('.board-card', has_text=NAME)).to_have_count(0)
    expect(watcher.cell('/customers/complete', 'seats')).to_have_text('25')
    expect(life.locator('.customer-facts')).to_contain_text('Complete')


def _licences(ana: Page, life: Page, watcher: Watcher, outside: Outside, customer: int) -> None:
    """More of them, from today on."""
    ana.goto(f'/customers/{customer}/upgrade')
    ana.get_by_label('New total of licences').fill('40')
    today = ana.get_by_label('Effective from')
    today.fill(today.get_attribute('min') or '')
    ana.get_by_label('Order (PO) number').fill('PO 4712/26')
    expect(ana.get_by_label('Preview')).to_contain_text('+63.00')
    ana.get_by_role('button', name='Review order').click()
    expect(ana.get_by_text('25 → 40 in total')).to_be_visible()
    ana.get_by_label('This change order is governed by').check()
    ana.get_by_label('I am authorised to place this change order.').check()
    ana.get_by_role('button', name='Submit change order').click()
    ana.wait_for_url(re.compile(rf'/customers/{customer}#orders$'))
    expect(card(life, 'orders')).to_contain_text('25 → 40 licences')
    mail = outside.mail_to(ana, DESK, 'CHG-')
    (document,) = mail.iter_attachments()
    said = _text(document.get_content())
    for text in (NAME, CODE, 'PO 4712/26', '40', 'Can be withdrawn until Not any more'):
        assert text in said, (text, said)
    expect(watcher.cell('/customers/complete', 'seats')).to_have_text('40', timeout=JOBS)
    expect(card(life, 'products').locator('.fold-gist')).to_contain_text('40 licences')
    # Who may see prices opens all of its documents; Mia does not.
    expect(card(life, 'attachments').locator('.file')).to_have_count(3)
    expect(card(life, 'orders').get_by_role('link', name='as PDF')).to_have_count(0)
    said = ' '.join(_documents(ana))
    for text in ('PO 4711/26', 'PO 4712/26', 'mia@northwind.example', 'hawthorn.onmicrosoft.com'):
        assert text in said, (text, said)


def _story(life: Page) -> None:
    """The history tells it in its order."""
    told = [
        f'{NAME} was created as a prospect', 'Converted from a prospect to an order', r'ORD-\d+ was submitted',
        f'RFI form sent to {LEAD}', f'delivered to {DESK}', 'sent back by', 'RFI found in error: 1 field',
        'sent back by', 'RFI complete', 'Account configuration: started on the vendor’s behalf: Kim',
        r'The vendor accepted ORD-\d+', 'Account configuration: completed by the automatic check',
        'Validate domains: completed', 'Outbound email: completed by the automatic check',
        'Directory synchronization: completed by', 'Journaling: completed by',
        'Permitted senders: skipped – Not wanted', 'Recipient validation: completed',
        'Inbound email: completed by the automatic check', 'Service Monitor and alerts: completed by',
        'Sign-off: completed', 'Connect complete', r'CHG-\d+ .*submitted',
        r'CHG-\d+ was delivered', r'CHG-\d+ took effect', 'Licences: 25 → 40',
    ]  # fmt: skip

    expect(card(life, 'history').get_by_label('Kind')).to_have_value('')  # nobody has to ask for everything

    def in_order() -> None:
        rows = card(life, 'history').locator('.log-row .log-what').all_text_contents()
        left = iter(reversed(rows))
        for pattern in told:
            assert any(re.search(pattern, row) for row in left), (pattern, list(reversed(rows)))

    eventually(life, in_order)
