import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from models import HistoryEvent, PortalRole, PortalUser
from models.history_reading import AUDITED, Chain, page
from models.rights import may

AUDIT = '/api/ui/audit'
KINDS = {
    'user.signed_in': 'sign_ins', 'user.sign_in_failed': 'sign_ins', 'user.invited': 'people',
    'delegated_access.granted': 'access', 'console.sign_on': 'access', 'settings.changed': 'settings',
    'list.exported': 'exports', 'customers.imported': 'imports', 'token.created': 'tokens', 'backup.made': 'backups',
}  # fmt: skip


@pytest.fixture
async def entries(portal):
    """An entry of each kind, a minute apart, the newest last; by Ana and by nobody in turn."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    partner, ana = portal.northwind.partner, portal.northwind.ana
    for number, kind in enumerate(KINDS):
        await HistoryEvent.add(
            partner.id, kind, f'=What {kind}', by=ana if number % 2 else None, at=start + timedelta(minutes=number)
        )
    acme = await portal.add(partner, 'Acme')
    await HistoryEvent.add(partner.id, 'note.added', 'Of a customer', customer_id=acme.id, by=ana)
    await HistoryEvent.add(portal.fabrikam.partner.id, 'token.created', 'Of another MSP')
    return portal


async def _kinds(browser, **asked):
    answer = await browser.get(AUDIT, params=asked)
    assert answer.status_code == 200, answer.text
    return [row['kind'] for row in answer.json()['rows']]


async def test_the_audit_is_the_msps_own_history_and_nobody_elses(entries):
    browser = await entries.signed_in(entries.northwind.ana)
    found = await _kinds(browser)
    assert found[0] == 'user.signed_in'  # that Ana signed in
    assert found[1:] == list(reversed(KINDS))
    eve = await entries.signed_in(entries.fabrikam.eve)
    assert await _kinds(eve) == ['user.signed_in', 'token.created']


@pytest.mark.parametrize('group', AUDITED)
async def test_each_kind_is_in_one_group(entries, group):
    found, _ = await page(Chain.of_partner(entries.northwind.partner.id), group=group)
    assert [row['kind'] for row in found] == [kind for kind in reversed(KINDS) if KINDS[kind] == group]


async def test_it_is_filtered_by_person_and_period_and_read_in_pages(entries, monkeypatch):
    from pages.api import customer

    monkeypatch.setattr(customer, 'PAGE', 3)
    await entries.sign_in(entries.northwind.ana)
    ana = entries.northwind.ana.id
    start = datetime(2026, 11, 1, tzinfo=UTC)
    mine = [kind for number, kind in enumerate(KINDS) if number % 2]
    assert await _kinds(entries.http, person=ana, until=start.replace(hour=1).isoformat()) == mine[::-1][:3]
    period = {'since': (start + timedelta(minutes=2)).isoformat(), 'until': (start + timedelta(minutes=4)).isoformat()}
    assert await _kinds(entries.http, **period) == list(KINDS)[2:4][::-1]
    found, before = [], ''
    while True:
        told = (await entries.http.get(AUDIT, params={'before': before})).json()
        assert ('people' in told) == (before == '')
        found += [row['kind'] for row in told['rows']]
        before = told['next']
        if not before:
            break
    assert found == ['user.signed_in', *reversed(KINDS)]
    first = (await entries.http.get(AUDIT)).json()
    assert first['people'] == [[ana, 'Ana']]


@pytest.mark.parametrize('asked', [{'group': 'notes'}, {'person': 'x'}, {'since': 'yesterday'}, {'before': 'here'}])
async def test_what_cannot_be_asked_is_refused_in_words(entries, asked):
    await entries.sign_in(entries.northwind.ana)
    answer = await entries.http.get(AUDIT, params=asked)
    assert (answer.status_code, [answer.json()['field']]) == (422, list(asked))
    assert answer.json()['error'].startswith('is ')


async def test_its_file_has_no_formulas_and_is_an_entry_itself(entries):
    await entries.sign_in(entries.northwind.ana)
    answer = await entries.http.get(f'{AUDIT}.csv', params={'group': 'tokens'})
    assert answer.status_code == 200
    lines = list(csv.reader(io.StringIO(answer.content.decode('utf-8-sig'))))
    assert [line[1:4] for line in lines] == [['Kind', 'Who', 'What'], ['token.created', '', "'=What token.created"]]
    entry = await HistoryEvent.get(kind='audit.exported')
    text = await entry.text()
    assert text is not None
    assert (text.summary, entry.actor_id) == ('The audit was exported – group tokens', entries.northwind.ana.id)


async def test_a_customers_history_as_a_file_is_in_the_audit(portal):
    acme = await portal.add(portal.northwind.partner, 'Acme', account_code='ACM1')
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(f'/api/ui/customers/{acme.id}/history.csv?group=all&since=2026-11-01T00:00:00Z')
    assert answer.status_code == 200
    entry = await HistoryEvent.get(kind='history.exported')
    text = await entry.text()
    assert text is not None
    assert (entry.customer_id, text.facts['customer']) == (None, acme.id)
    assert text.summary == ('The history of Acme (ACM1) was exported – group all, from 2026-11-01 00:00 UTC')


@pytest.mark.parametrize('role', PortalRole)
async def test_only_those_with_the_right_see_the_audit(entries, role):
    ana = entries.northwind.ana
    await PortalUser.filter(id=ana.id).update(role=role)
    ana.role = role
    await entries.sign_in(ana)
    right = may(ana, 'audit.see')
    assert (await entries.http.get('/audit')).status_code == (200 if right else 404)
    assert (await entries.http.get(AUDIT)).status_code == (200 if right else 403)
    assert (await entries.http.get(f'{AUDIT}.csv')).status_code == (200 if right else 403)
    assert await HistoryEvent.exists(kind='audit.exported') == right


async def test_the_page_shows_its_groups(entries, until):
    await entries.sign_in(entries.northwind.ana)
    client = await entries.user.open('/audit')
    await until(lambda: any(each._props.get('config') for each in client.elements.values()))
    assert entries.config()['groups'] == [[key, title] for key, (title, _) in AUDITED.items()]
