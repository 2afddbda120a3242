import json
from datetime import UTC, datetime, timedelta

import pytest

from models import (
    Customer,
    HistoryEvent,
    Infrastructure,
    Listing,
    Message,
    Partner,
    PortalRole,
    Rfi,
    RfiLink,
    RfiState,
    dns_asking,
    rfi_knowing,
)
from models.dns_asking import Found
from pages.guard import STRICT

ORIGIN = {'origin': 'http://test'}
RIGHT = {
    'emergency_first_name': 'Ida', 'emergency_last_name': 'Berg', 'emergency_email': 'ida@kunde.example',
    'emergency_mobile': '+44 7700 900123', 'mail_platform': 'on_premises', 'directory': 'none',
    'email_domains': ['kunde.example'], 'outbound_ips': ['8.8.8.8'], 'inbound_ips': ['8.8.4.4'],
    'recipient_validation_type': 'known', 'journal_protocol': 'smtp', 'journal_address': 'j@journal.kunde.example',
}  # fmt: skip
HOSTILE = '<script>alert(1)</script>=1+1"\'{{7*7}}'


@pytest.fixture
async def customer(portal) -> Customer:
    return await portal.add(portal.northwind.partner, 'Kunde', rfi=RfiState.REQUESTED, domain='kunde.example')


class Holder:
    """Somebody with a link and without an account."""

    def __init__(self, portal, issued) -> None:
        self.browser, self.path, self.link = portal.browser(), f'/rfi/{issued.token}', issued.link

    async def get(self, way: str = ''):
        return await self.browser.get(self.path + way)

    async def post(self, way: str, **sent):
        return await self.browser.post(f'{self.path}/{way}', json=sent, headers=ORIGIN)


@pytest.fixture
async def holder(portal, customer) -> Holder:
    return Holder(portal, await RfiLink.issue(customer, by=None, at='http://test', recipient='lead@kunde.example'))


async def test_the_page_holds_nothing_of_the_customer_and_is_kept_by_nobody(portal, holder):
    found = await holder.get()
    assert found.status_code == 200
    assert 'Northwind IT' in found.text
    assert 'Kunde' not in found.text
    assert holder.path.rpartition('/')[2] not in found.text, 'the token is in the address and nowhere else'
    assert found.headers['cache-control'] == 'no-store'
    assert found.headers['referrer-policy'] == 'no-referrer'
    assert found.headers['content-security-policy'] == STRICT
    link = await RfiLink.get()
    assert link.opened_at is None, 'a scanner of mail has opened nothing'
    told = (await holder.post('open')).json()
    assert told['about']['name'] == 'Kunde'
    assert dict(told['about']['facts'])['Implementation lead'] == 'lead@kunde.example'
    assert told['now']['answers'] == {'email_domains': ['kunde.example']}
    assert (await RfiLink.get()).opened_at is not None
    assert (await holder.get('/logo')).status_code == 404


async def test_the_logo_of_the_msp_is_there_for_whoever_holds_the_link(portal, holder):
    await Partner.filter(id=portal.northwind.partner.id).update(logo=b'\x89PNG')
    assert 'data-logo' in (await holder.get()).text
    found = await holder.get('/logo')
    assert (found.content, found.headers['content-type']) == (b'\x89PNG', 'image/png')
    assert (await portal.browser().get('/rfi/' + 'x' * 43 + '/logo')).status_code == 404


async def test_somebody_without_an_account_fills_it_in_is_in_error_once_and_completes_it(portal, holder, customer):
    wrong = RIGHT | {'outbound_ips': ['10.0.0.1'], 'notes': HOSTILE}
    kept = (await holder.post('answers', values=wrong, was={})).json()
    assert kept['version'] == 1
    assert kept['problems'] == {'outbound_ips': '“10.0.0.1” is not a public address (private).'}
    assert kept['edits']['notes']['by'] == 'lead@kunde.example'
    refused = await holder.post('submit', declares=False)
    assert (refused.status_code, refused.json()['field']) == (422, 'declaration')
    sent = (await holder.post('submit', declares=True)).json()['now']
    assert (sent['state'], [error['field'] for error in sent['errors']]) == ('error', ['outbound_ips'])
    # Shown to the MSP as well.
    ana = await portal.signed_in(portal.northwind.ana)
    parts = (await ana.get(f'/api/ui/customers/{customer.id}/parts?want=rfi')).json()['rfi']
    assert parts['errors'][0]['field'] == 'Outbound IP addresses'
    assert (await holder.post('open')).json()['now']['errors'] == sent['errors']
    await holder.post('answers', values={'outbound_ips': '8.8.8.8'}, was={'outbound_ips': ['10.0.0.1']})
    done = (await holder.post('submit', declares=True)).json()['now']
    assert (done['state'], done['is_open'], done['errors']) == ('complete', False, [])
    for answered in (await holder.get(), await holder.get('/now'), await holder.post('answers', values={}, was={})):
        assert answered.status_code == 410
        assert 'complete' in answered.text
        assert 'Kunde' not in answered.text
    stored = await Customer.get(id=customer.id)
    assert stored.listing == Listing.IN_PROGRESS


async def test_hostile_answers_stay_text_wherever_they_are_read(portal, holder, customer):
    await holder.post('answers', values=RIGHT | {'notes': HOSTILE, 'server_os': HOSTILE}, was={})
    assert (await holder.post('submit', declares=True)).json()['now']['shown']['notes'] == [HOSTILE]
    ana = await portal.signed_in(portal.northwind.ana)
    page = await ana.get(f'/customers/{customer.id}/rfi')
    assert '<script>alert(1)' not in page.text
    parts = await ana.get(f'/api/ui/customers/{customer.id}/parts?want=rfi,infrastructure,history')
    assert parts.headers['content-type'] == 'application/json'
    exported = await ana.get(f'/api/ui/customers/{customer.id}/history.csv')
    assert not [line for line in exported.text.splitlines() if line.startswith(('=', '"='))]
    [attached] = (await ana.get(f'/api/ui/customers/{customer.id}/parts?want=attachments')).json()['attachments'][
        'rows'
    ]
    pdf = await ana.get(f'/api/ui/customers/{customer.id}/attachments/{attached["id"]}.pdf')
    assert pdf.content.startswith(b'%PDF')
    assert b'/JavaScript' not in pdf.content


async def test_what_somebody_else_has_saved_is_never_overwritten(portal, holder, customer):
    ana = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{customer.id}/rfi'
    await ana.post(f'{address}/answers', json={'values': {'notes': 'Ana’s'}, 'was': {'notes': ''}}, headers=ORIGIN)
    taken = await holder.post('answers', values={'notes': 'mine'}, was={'notes': ''})
    assert (taken.status_code, taken.json()['field'], taken.json()['now']) == (409, 'notes', 'Ana’s')
    now = (await holder.get('/now?version=0')).json()
    assert (now['answers']['notes'], now['edits']['notes']['by']) == ('Ana’s', 'Ana')
    assert (await holder.get(f'/now?version={now["version"]}&state=draft')).json() == {'version': 1, 'state': 'draft'}
    assert 'answers' in (await holder.get('/now?version=1&state=error')).json()
    assert (await holder.post('answers', values={'notes': 'mine'}, was={'notes': 'Ana’s'})).status_code == 200
    assert (await ana.get(address)).json()['now']['answers']['notes'] == 'mine'


async def test_what_dns_says_of_the_domains_is_shown_to_who_fills_it_in(portal, holder, customer, monkeypatch):
    asked: list[str] = []

    async def ask(domain: str) -> Found:
        asked.append(domain)
        if domain == 'kunde.example':
            return Found(domain, mx=['mx1.example.net'], spf=['v=spf1 -all'])
        return Found(domain, error='The name servers did not answer.', exists=None)

    monkeypatch.setattr(dns_asking, 'ask', ask)
    monkeypatch.setattr(rfi_knowing, '_asked', {})
    expected = [{'domain': 'kunde.example', 'said': 'mail goes to mx1.example.net; SPF is set'}]
    assert (await holder.get('/domains')).json()['domains'] == expected
    await holder.post('answers', values={'email_domains': 'kunde.example\nzweite.example'}, was={})
    ana = await portal.signed_in(portal.northwind.ana)
    told = (await ana.get(f'/api/ui/customers/{customer.id}/rfi/domains')).json()['domains']
    assert told == [*expected, {'domain': 'zweite.example', 'said': 'The name servers did not answer.'}]
    assert asked == ['kunde.example', 'zweite.example'], 'not again for everybody who looks'


@pytest.mark.parametrize('why', ['expired', 'withdrawn', 'not needed', 'other'])
async def test_a_link_that_opens_nothing_says_so_and_leaks_nothing(portal, holder, customer, why):
    link = RfiLink.filter(id=holder.link.id)
    if why == 'expired':
        await link.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    elif why == 'withdrawn':
        await link.update(revoked_at=datetime.now(UTC))
    elif why == 'not needed':
        await Rfi.filter(customer_id=customer.id).update(state=RfiState.NOT_APPLICABLE)
    else:
        holder.path = '/rfi/' + 'y' * 43
    status = 404 if why == 'other' else 410
    for answered in (
        await holder.get(), await holder.get('/now'), await holder.post('open'),
        await holder.post('answers', values={'notes': 'x'}, was={}), await holder.post('submit', declares=True),
    ):  # fmt: skip
        assert answered.status_code == status
        assert 'Kunde' not in answered.text
        assert 'kunde.example' not in answered.text
        assert 'Northwind' not in answered.text
        if why != 'other':
            assert why in answered.text
    assert (await Rfi.get(customer_id=customer.id)).version == 0


async def test_a_link_reaches_its_own_customer_and_nothing_else_of_the_portal(portal, holder):
    other = await portal.add(portal.northwind.partner, 'Other', rfi=RfiState.REQUESTED)
    await Rfi.filter(customer_id=other.id).update(answers={'notes': 'secret of Other'})
    for answered in (await holder.post('open'), await holder.get('/now')):
        assert 'secret' not in answered.text
    for path in ('/customers/1', '/api/ui/session', f'/api/ui/customers/{other.id}/rfi'):
        assert (await holder.browser.get(path, headers={'accept': '*/*'})).status_code in (303, 401)
    elsewhere = await holder.browser.post(
        f'{holder.path}/answers', json={'values': {'notes': 'x'}, 'was': {}}, headers={'origin': 'https://evil.example'}
    )
    assert elsewhere.status_code == 403


async def test_guesses_are_slowed_down(portal, holder):
    statuses = [(await portal.browser().get(f'/rfi/{n:043}')).status_code for n in range(7)]
    assert statuses == [404] * 5 + [429] * 2
    slowed = await holder.post('open')
    assert slowed.status_code == 429
    assert int(slowed.headers['retry-after']) >= 1


async def test_a_form_is_not_sent_back_time_and_again_without_an_end(portal, holder):
    statuses = [(await holder.post('submit', declares=True)).status_code for _ in range(7)]
    assert statuses == [200] * 5 + [409] * 2
    assert await HistoryEvent.filter(kind='rfi.submitted').count() == 5


async def test_what_no_form_sends_is_refused_with_a_sentence(portal, holder):
    for sent in (
        b'',
        b'[]',
        b'{"values": [], "was": {}}',
        b'{"values": {"x": 1}, "was": {}}',
        b'{"values": {"notes": {}}}',
    ):
        answered = await holder.browser.post(f'{holder.path}/answers', content=sent, headers=ORIGIN)
        assert answered.status_code == 422, sent
        assert answered.json()['error']
    long = json.dumps({'values': {'notes': 'x' * 70_000}, 'was': {}})
    assert (await holder.browser.post(f'{holder.path}/answers', content=long, headers=ORIGIN)).status_code == 413
    too_long = await holder.post('answers', values={'notes': 'x' * 5000}, was={})
    assert (too_long.status_code, too_long.json()['field']) == (422, 'notes')


async def test_the_page_in_the_portal_is_for_who_sees_the_customer(portal, customer):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/customers/{customer.id}/rfi')
    await portal.should_see('Emergency (technical) contact')
    config = portal.config()
    assert config['may'] == {'fill': True, 'send': True, 'reopen': True}
    assert config['about']['name'] == 'Kunde'
    await portal.northwind.ana.filter(id=portal.northwind.ana.id).update(role=PortalRole.SALES)
    await portal.user.open(f'/customers/{customer.id}/rfi')
    await portal.should_see('Emergency (technical) contact')
    assert portal.config()['may'] == {'fill': False, 'send': False, 'reopen': False}
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert (await eve.get(f'/customers/{customer.id}/rfi')).status_code == 404


async def test_links_are_sent_copied_and_revoked_from_the_portal(portal, customer):
    await Partner.filter(id=portal.northwind.partner.id).update(smtp_host='smtp.example', mail_from='p@n.example')
    ana = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{customer.id}/rfi'

    async def post(way: str, **sent):
        return await ana.post(f'{address}/{way}', json=sent, headers=ORIGIN)

    mailed = (await post('send', recipient='lead@kunde.example')).json()
    assert mailed == {'is_mailed': True, 'address': ''}, 'what was mailed is shown to nobody else'
    assert await Message.filter(recipient='lead@kunde.example', kind='rfi').count() == 1
    copied = (await post('send', recipient='')).json()
    assert copied['address'].startswith('http://test/rfi/')
    assert (await post('send', recipient='nobody')).json()['field'] == 'recipient'
    [row] = (await ana.get('/api/ui/tables/waiting/rows')).json()['rows']
    assert row['rfi_form__sent_to'] == 'lead@kunde.example'
    assert row['rfi_form__requested_at']
    assert (row['rfi_form__opened_at'], row['rfi_form__reminders']) == (None, 0)
    assert row['rfi_link']['act'] == 'rfi'
    links = (await ana.get(f'/api/ui/customers/{customer.id}/parts?want=rfi')).json()['rfi']['links']
    assert [(link['recipient'], link['mail']) for link in links] == [('', ''), ('lead@kunde.example', 'waiting')]
    told = (await ana.get(f'{address}/links')).json()
    assert (told['links'], told['sent_to'], told['reminders']) == (links, 'lead@kunde.example', 0)
    assert told['remind_at'], 'it is asked for again'
    assert (await post(f'links/{links[1]["id"]}/revoke')).json() == {'revoked': 1}
    assert (await ana.get(f'{address}/links')).json()['remind_at'] is None, 'who was sent it is not to fill it in'
    assert (await post(f'links/{links[0]["id"]}/revoke')).json() == {'revoked': 1}
    assert (await portal.browser().get(copied['address'])).status_code == 410
    other = await portal.add(portal.northwind.partner, 'Zweite', rfi=RfiState.REQUESTED)
    foreign = await portal.add(portal.fabrikam.partner, 'Fremd', rfi=RfiState.REQUESTED)
    ids = [customer.id, other.id, foreign.id]
    sent = (await ana.post('/api/ui/rfi/send', json={'customers': ids}, headers=ORIGIN)).json()
    assert sent == {'done': [customer.id], 'why': {str(other.id): 'Zweite: It was sent to nobody yet.'}}
    revoked = (await ana.post('/api/ui/rfi/revoke', json={'customers': ids}, headers=ORIGIN)).json()
    assert revoked['done'] == [customer.id, other.id]
    assert not await RfiLink.filter(revoked_at__isnull=True).exists()
    # Without a mail server nothing is said to have been sent, and no link is made that nobody is told.
    await Partner.filter(id=portal.northwind.partner.id).update(smtp_host='')
    unsent = await ana.post('/api/ui/rfi/send', json={'customers': ids}, headers=ORIGIN)
    assert (unsent.status_code, 'Copy the links' in unsent.json()['error']) == (409, True)
    assert not await RfiLink.filter(revoked_at__isnull=True).exists()
    assert (await ana.post('/api/ui/rfi/burn', json={'customers': ids}, headers=ORIGIN)).status_code == 404


async def test_a_form_that_came_back_elsewhere_is_checked_from_its_page(portal, customer):
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.SUBMITTED)
    ana = await portal.signed_in(portal.northwind.ana)
    card = (await ana.get(f'/api/ui/customers/{customer.id}/parts?want=rfi')).json()['rfi']
    assert (card['state'], card['is_unchecked']) == ('Sent back, to be checked', True)
    address = f'/api/ui/customers/{customer.id}/rfi'
    now = (await ana.post(f'{address}/check', headers=ORIGIN)).json()['now']
    assert (now['state'], now['is_open']) == ('error', True)
    assert 'Mobile cannot be empty.' in [each['message'] for each in now['errors']]
    twice = await ana.post(f'{address}/check', headers=ORIGIN)
    assert (twice.status_code, twice.json()['error']) == (409, 'The form is in error: it can be corrected as it is.')


async def test_whoever_types_into_a_form_that_somebody_else_completes_is_told_so(portal, holder, customer):
    await Infrastructure.create(customer=await portal.add(portal.northwind.partner, 'Zweite'), outbound_ips=['8.8.8.8'])
    ana = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{customer.id}/rfi'
    await ana.post(f'{address}/answers', json={'values': RIGHT, 'was': {}}, headers=ORIGIN)
    await ana.post(f'{address}/submit', json={'declares': True}, headers=ORIGIN)
    late = await holder.post('answers', values={'notes': 'too late'}, was={'notes': ''})
    assert (late.status_code, late.json()['done']) == (410, True)
    assert 'This form is complete' in (closed := (await holder.get()).text)
    assert 'Northwind IT' in closed  # as the form said, to whom it was open until then
    await RfiLink.filter(id=holder.link.id).update(revoked_at=datetime.now(UTC) - timedelta(days=1))
    withdrawn = await holder.get()
    assert (withdrawn.status_code, 'Northwind' in withdrawn.text) == (410, False)
    assert 'notes' not in (await Rfi.get(customer_id=customer.id)).answers
    # What was unusual about it stays to be read.
    card = (await ana.get(f'/api/ui/customers/{customer.id}/parts?want=rfi')).json()['rfi']
    assert card['warnings'][0]['message'].startswith('8.8.8.8 is in use elsewhere as well')
    assert (await ana.get(address)).json()['now']['warnings'][0]['field'] == 'outbound_ips'


async def test_a_complete_form_is_reopened_with_a_reason(portal, customer):
    ana = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{customer.id}/rfi'
    await ana.post(f'{address}/answers', json={'values': RIGHT, 'was': {}}, headers=ORIGIN)
    done = (await ana.post(f'{address}/submit', json={'declares': True}, headers=ORIGIN)).json()
    assert done['now']['state'] == 'complete', done
    assert done['now']['returned_by'] == 'Ana'
    again = (await ana.post(f'{address}/reopen', json={'because': 'a new firewall'}, headers=ORIGIN)).json()['now']
    assert (again['state'], again['reopened_because']) == ('draft', 'a new firewall')
    twice = await ana.post(f'{address}/reopen', json={'because': 'x'}, headers=ORIGIN)
    assert (twice.status_code, twice.json()['error']) == (
        409,
        'The form is not complete: it can be filled in as it is.',
    )
    assert await HistoryEvent.filter(kind='rfi.reopened').count() == 1


async def test_those_who_wait_are_listed_by_when_and_to_whom_the_form_was_sent(portal):
    names = {}
    for name, recipient in (('A', 'z@a.example'), ('B', 'a@b.example'), ('C', '')):
        made = await portal.add(portal.northwind.partner, name, rfi=RfiState.REQUESTED)
        names[made.id] = name
        if recipient:
            await RfiLink.issue(made, by=None, at='http://test', recipient=recipient)
    ana = await portal.signed_in(portal.northwind.ana)

    async def order(sort: str, direction: str = 'asc') -> str:
        rows = (await ana.get(f'/api/ui/tables/waiting/rows?sort={sort}&dir={direction}')).json()['rows']
        return ''.join(names[row['id']] for row in rows)

    assert (await order('rfi_form__sent_to'), await order('rfi_form__sent_to', 'desc')) == ('CBA', 'ABC')
    assert await order('rfi_form__requested_at', 'desc') == 'CBA'
    assert (await ana.get('/api/ui/tables/waiting/export.csv')).text.splitlines()[0].startswith('\ufeffCustomer')
