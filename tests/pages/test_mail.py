"""The page of the MSP's mail, with what it asks for and sends."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from components.live_table import Asked
from models import (
    Customer,
    CustomerAccess,
    Message,
    MessageState,
    Order,
    OrderKind,
    PortalRole,
    VendorState,
    events,
)
from models.mailing import post
from pages.mail import table
from tests.smtp import use

LINK = 'https://portal.example/rfi/secret-token'
REFUSED = 'The mail server refused the address (550 unknown).'


@pytest.fixture
async def mail(portal):
    """Northwind’s mail: about a bakery, about a dairy that Tom does not see, and about no customer; one of Fabrikam."""
    northwind = await use(portal.northwind.partner, 25)
    bakery = await portal.add(northwind, 'Émile’s Bakery')
    dairy = await portal.add(northwind, 'Dairy')
    ana, tom = portal.northwind.ana, portal.northwind.tom
    tom.role, tom.sees_all = PortalRole.IMPLEMENTATION, True
    await tom.save()
    await CustomerAccess.create(user=tom, customer=dairy, allowed=False)
    facts = {'customer': 'x', 'link': LINK, 'until': '1 January 2027', 'by': 'Ana', 'is_error': False}

    async def write(partner=northwind, **given) -> int:
        message = await post(
            partner, recipient='lead@bakery.example', **{'kind': 'rfi', 'template': 'rfi', 'facts': facts, **given}
        )  # fmt: skip
        assert message is not None
        return message.id

    fabrikam = await use(portal.fabrikam.partner, 25)
    return SimpleNamespace(
        about_bakery=await write(customer_id=bakery.id), about_dairy=await write(customer_id=dairy.id),
        about_none=await write(kind='test', template='test', facts={'name': 'Ana'}),
        foreign=await write(fabrikam, kind='test', template='test', facts={'name': 'Eve'}),
        customer=bakery, ana=ana, tom=tom, stranger=portal.fabrikam.eve,
    )  # fmt: skip


async def _rows(http, query: str = '') -> list[dict]:
    answer = await http.get(f'/api/ui/tables/mail/rows?end=100{query}')
    assert answer.status_code == 200, answer.text
    return answer.json()['rows']


async def test_mail_is_shown_to_whoever_sees_the_customer(portal, mail):
    await portal.sign_in(mail.ana)
    assert {row['id'] for row in await _rows(portal.http)} == {mail.about_bakery, mail.about_dairy, mail.about_none}
    await portal.sign_in(mail.tom)
    assert {row['id'] for row in await _rows(portal.http)} == {mail.about_bakery, mail.about_none}
    counts = (await portal.http.get('/api/ui/tables/mail/counts')).json()
    assert (counts['shown'], counts['all']) == (2, 2)
    assert (await portal.http.get('/api/ui/mail')).json()['waiting'] == 2
    for hidden in (mail.about_dairy, mail.foreign):
        assert (await portal.http.get(f'/api/ui/mail/{hidden}')).status_code == 404
        assert (await portal.http.post(f'/api/ui/mail/{hidden}/retry', json={})).status_code == 404


async def test_what_a_message_says_is_nowhere_shown(portal, mail):
    await portal.sign_in(mail.ana)
    for address in (
        '/mail', '/api/ui/mail', f'/api/ui/mail/{mail.about_bakery}', '/api/ui/tables/mail/rows?end=100',
        '/api/ui/tables/mail/export.csv',
    ):  # fmt: skip
        answer = await portal.http.get(address)
        assert answer.status_code == 200
        assert 'secret-token' not in answer.text
        assert (await Message.get(id=mail.about_bakery)).body not in answer.text


async def test_the_list_is_searched_sorted_and_narrowed(portal, mail):
    await Message.filter(id=mail.about_none).update(state=MessageState.FAILED, error=REFUSED, attempts=2)
    await portal.sign_in(mail.ana)
    (failed,) = await _rows(portal.http, '&only=failed')
    assert (failed['subject'], failed['state'], failed['kind']) == (
        'Test message from the MSP Portal',
        'Failed',
        'Test',
    )
    assert (failed['error'], failed['attempts'], failed['customer']) == (REFUSED, 2, '')
    assert [row['id'] for row in await _rows(portal.http, '&q=550')] == [mail.about_none]
    found = await _rows(portal.http, '&q=questions&sort=customer')
    assert [row['customer'] for row in found] == ['Dairy', 'Émile’s Bakery']
    newest = await _rows(portal.http, '&sort=written&dir=desc')
    assert [row['id'] for row in newest] == [mail.about_none, mail.about_dairy, mail.about_bakery]
    for column in ('recipient', 'kind', 'state', 'attempts', 'error'):
        assert len(await _rows(portal.http, f'&sort={column}')) == 3
    csv = (await portal.http.get('/api/ui/tables/mail/export.csv?only=failed')).text
    assert 'Test message from the MSP Portal' in csv
    assert 'questions' not in csv


async def test_what_waits_is_tried_again_at_once(portal, mail):
    later = datetime.now(UTC) + timedelta(hours=5)
    await Message.filter(id=mail.about_bakery).update(due_at=later, error='No answer.', attempts=3)
    told: list[int] = []
    silence = events.PARTNER_CHANGED.subscribe(told.append)  # ends the pause of the mail server
    try:
        await portal.sign_in(mail.tom)
        standing = (await portal.http.get('/api/ui/mail')).json()
        assert (standing['error'], standing['waiting'], standing['may_set']) == ('No answer.', 2, False)
        details = (await portal.http.get(f'/api/ui/mail/{mail.about_bakery}')).json()
        assert details['may_try']
        assert details['customer'] == {'id': mail.customer.id, 'name': 'Émile’s Bakery'}
        assert (await portal.http.post(f'/api/ui/mail/{mail.about_bakery}/retry', json={})).status_code == 200
    finally:
        silence()
    stored = await Message.get(id=mail.about_bakery)
    assert stored.due_at <= datetime.now(UTC)
    assert stored.state == MessageState.WAITING
    assert told == [mail.tom.partner_id]


async def test_trying_everything_again_leaves_what_one_does_not_see(portal, mail):
    later = datetime.now(UTC) + timedelta(hours=5)
    await Message.all().update(due_at=later, error='No answer.', attempts=3)
    await portal.sign_in(mail.tom)
    assert (await portal.http.post('/api/ui/mail/retry', json={})).json() == {'tried': 2}
    moved = await Message.filter(due_at__lt=later).values_list('id', flat=True)
    assert set(moved) == {mail.about_bakery, mail.about_none}


@pytest.mark.parametrize(('given', 'said'), [
    ({'state': MessageState.SENT, 'body': ''}, 'has been sent'),
    ({'state': MessageState.FAILED, 'body': '', 'error': REFUSED}, 'written anew'),
    ({'attempts': 1, 'error': ''}, 'being sent at this moment'),
])  # fmt: skip
async def test_what_cannot_be_tried_says_why(portal, mail, given, said):
    later = datetime.now(UTC) + timedelta(minutes=5)
    await Message.filter(id=mail.about_bakery).update(due_at=later, **given)
    await portal.sign_in(mail.ana)
    assert not (await portal.http.get(f'/api/ui/mail/{mail.about_bakery}')).json()['may_try']
    answer = await portal.http.post(f'/api/ui/mail/{mail.about_bakery}/retry', json={})
    assert answer.status_code == 409
    assert said in answer.json()['error']
    assert (await Message.get(id=mail.about_bakery)).due_at == later


async def test_what_failed_leads_to_where_it_is_written_anew(portal, mail):
    await Message.all().update(state=MessageState.FAILED, body='', error=REFUSED)
    await portal.sign_in(mail.tom)

    async def anew(message_id: int, **changed) -> dict:
        await Message.filter(id=message_id).update(**changed)
        return (await portal.http.get(f'/api/ui/mail/{message_id}')).json()['anew']

    page = f'/customers/{mail.customer.id}'
    assert (await anew(mail.about_bakery))['href'] == f'{page}#rfi'
    about_order = await anew(mail.about_bakery, kind='order_desk')
    assert (about_order['href'], about_order['said']) == (f'{page}#orders', 'See how the order stands now.')
    await Order.create(
        partner_id=mail.tom.partner_id, customer=mail.customer, kind=OrderKind.NEW, message_id=mail.about_bakery,
        vendor=VendorState.BY_HAND,
    )  # fmt: skip
    assert 'passed on by hand' in (await anew(mail.about_bakery))['said']
    assert (await anew(mail.about_bakery, kind='later'))['href'] == page
    assert 'href' not in await anew(mail.about_none, kind='digest')
    invited = await anew(mail.about_none, kind='invite', recipient=mail.ana.email)
    assert 'An administrator can do that' in invited['said']
    assert 'href' not in invited
    await portal.sign_in(mail.ana)
    assert (await anew(mail.about_none))['href'] == f'/users#{mail.ana.id}'
    assert (await anew(mail.about_none, recipient=mail.stranger.email))['href'] == '/users'


async def test_open_pages_hear_of_mail_and_not_of_every_message(portal, mail):
    from components import live

    said: list[str] = []
    hub, tell = live.hub, live.hub.tell
    hub.tell = lambda partner_id, what: said.append(what)  # type: ignore[method-assign]
    try:
        for _ in range(50):
            events.MAIL_MOVED.emit(mail.ana.partner_id)
        assert said.count('mail') <= 1
        hub._mail[mail.ana.partner_id] = True
        hub._mail_again(mail.ana.partner_id)  # a second later
        assert said[-1] == 'mail'
        said.clear()
        hub._mail_again(mail.ana.partner_id)  # nothing more has moved
        assert said == []
        events.MAIL_MOVED.emit(mail.ana.partner_id)
        assert said == ['mail']
    finally:
        hub.tell = tell  # type: ignore[method-assign]


async def test_every_column_sorts_on_both_databases(db, northwind):
    partner, ana = await use(northwind.partner, 25), northwind.ana
    customers = [await Customer.add(partner, name=name, account_code=name) for name in ('Zebra', 'Albatros')]
    for n, (kind, about) in enumerate([('test', None), ('rfi', customers[0].id), ('later', customers[1].id)]):
        await Message.create(
            partner=partner, key=f'k{n}', kind=kind, recipient=f'p{n}@x.example', subject=f'S{n}', customer_id=about,
            due_at=datetime.now(UTC), attempts=n, error='e' * n, state=list(MessageState)[n],
        )  # fmt: skip
    found = {}
    for column in table.columns:
        for way in ('asc', 'desc'):
            asked = Asked(table, {'sort': column.name, 'dir': way})
            read = await table.page(ana, asked, audience='ana', number=0)
            found[column.name, way] = ''.join(row['subject'][1] for row in read)
        assert sorted(found[column.name, 'asc']) == list('012')
        assert column.name == 'customer' or found[column.name, 'asc'] == found[column.name, 'desc'][::-1]
    assert found['customer', 'asc'].replace('0', '') == '21'
    assert found['kind', 'asc'] == '210'  # later, RFI link, Test
    asked = Asked(table, {'q': 'P1@X', 'only': 'sent'})
    (row,) = await table.page(ana, asked, audience='ana', number=0)
    assert (row['customer'], row['kind'], row['state'], row['attempts']) == ('Zebra', 'RFI link', 'Sent', 1)
    assert (await table.counts(ana, asked))['shown'] == 1
    assert await Message.retry_seen(ana) == 1
