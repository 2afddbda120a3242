"""What the page of a customer asks for and sends: who may, what is refused and how, and what others hear of it."""

import asyncio
from typing import Any

import orjson
import pytest
from nicegui import core

from components import cards, live
from models import Contact, Customer, CustomerAccess, HistoryEvent, Infrastructure, Note, PortalRole, PortalUser, Price
from models.product import load_catalogue
from models.rights import may
from pages.acting import ACTS
from pages.api.customer import router  # its acts register themselves when it is imported
from pages.guard import COOKIE

BASE = '/api/ui/customers/{}'
PARTS = ['head', 'recent', 'contacts', *(f'gist {key}' for key in cards.CARDS), *cards.CARDS]


@pytest.fixture
async def emile(portal) -> Customer:
    return await portal.add(
        portal.northwind.partner, 'Émile’s Bakery', account_code='EMILE1', seats=1234, domain='emile.example'
    )


async def _note(emile: Customer, by: PortalUser, body: str = 'Something') -> Note:
    return await Note.add(emile, body, by=by)


# -- reading ----------------------------------------------------------------------------------------------------------


async def test_every_part_of_the_page_can_be_asked_for(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(BASE.format(emile.id) + '/parts', params={'want': ','.join(PARTS)})
    assert answer.status_code == 200
    assert set(answer.json()) == set(PARTS)
    assert 'no-store' in answer.headers['cache-control']


async def test_what_no_page_shows_is_left_out(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(BASE.format(emile.id) + '/parts?want=head,nothing,gist nothing,password_hash,')
    assert set(answer.json()) == {'head'}


async def test_the_page_begins_with_all_that_it_shows(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/customers/{emile.id}')
    await portal.should_see('Émile’s Bakery')
    config = portal.config()
    assert [card['key'] for card in config['cards']] == list(cards.CARDS)
    assert {f'gist {key}' for key in cards.CARDS} | {'head', 'recent', 'contacts'} | set(config['open']) == set(
        config['parts']
    )


async def test_what_is_seen_is_read_once_for_all_who_look_and_anew_after_a_change(portal, emile, monkeypatch):
    read = []
    count_of = Note.count_of

    async def counted(customer_id: int) -> int:
        read.append(customer_id)
        return await count_of(customer_id)

    monkeypatch.setattr(Note, 'count_of', counted)
    ana = await portal.signed_in(portal.northwind.ana)
    want = BASE.format(emile.id) + '/parts?want=gist%20notes'
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ana.get(want)) for _ in range(20)]
    assert {task.result().json()['gist notes']['text'] for task in asked} == {'None yet'}
    assert len(read) == 1
    # While somebody looks, a change counts at once, however short ago it was read.
    connection = _connection(portal.northwind.ana)
    live.hub.start()
    live.hub.watch(connection, emile.id)
    await ana.get(want)
    await _note(emile, portal.northwind.ana)
    assert (await ana.get(want)).json()['gist notes']['text'] == '1 note'
    live.hub.stop()


def _connection(user: PortalUser) -> live.Connection:
    async def send(_message: Any) -> None:
        return None

    return live.Connection(send, user, 1, live.Audience('test', user, sees_all=True))


async def test_history_comes_by_pages_and_refuses_what_it_cannot_read(portal, emile):
    for number in range(70):
        await HistoryEvent.add(
            emile.partner_id, 'note.added', f'Entry {number}', customer_id=emile.id, by=portal.northwind.ana
        )
    await portal.sign_in(portal.northwind.ana)
    address = BASE.format(emile.id) + '/history'
    first = (await portal.http.get(address)).json()
    assert first['rows'][0]['summary'] == 'Entry 69'
    second = (await portal.http.get(address, params={'before': first['next']})).json()
    assert not {row['id'] for row in first['rows']} & {row['id'] for row in second['rows']}
    assert len(first['rows']) + len(second['rows']) == 71  # and its creation
    for wrong in (
        'before=nonsense',
        'group=nonsense',
        'person=x',
        'since=yesterday',
        'until=9999-12-31T00:00:00Z',
        'until=2026-11-22',
    ):
        answer = await portal.http.get(f'{address}?{wrong}')
        assert (answer.status_code, answer.json()['field']) == (422, wrong.split('=')[0])
        assert answer.json()['error'].startswith('is '), wrong
        if not wrong.startswith('before'):  # a file has them all, and is refused before it is begun or told of
            assert (await portal.http.get(f'{address}.csv?{wrong}')).content == answer.content
    assert not await HistoryEvent.filter(kind='history.exported').exists()


async def test_history_is_exported_as_csv_without_formulas(portal, emile):
    await HistoryEvent.add(emile.partner_id, 'note.added', '=1+1', customer_id=emile.id, by=portal.northwind.ana)
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(BASE.format(emile.id) + '/history.csv?group=all')
    assert answer.status_code == 200
    assert 'history-EMILE1-' in answer.headers['content-disposition']
    lines = answer.content.decode('utf-8-sig').splitlines()
    assert lines[0] == 'When (UTC),Kind,Who,What,Entry'
    newest = await HistoryEvent.filter(customer_id=emile.id).order_by('-id').first()
    assert newest is not None
    assert lines[1].endswith(f",note.added,Ana,'=1+1,{newest.id}")
    await portal.sign_in(portal.northwind.tom)
    await CustomerAccess.create(user=portal.northwind.tom, customer=emile, allowed=True)
    assert (await portal.http.get(BASE.format(emile.id) + '/history.csv')).status_code == 403


async def test_prices_are_for_those_who_may_see_them(portal, emile):
    want = BASE.format(emile.id) + '/parts?want=upgrades'
    product = (await load_catalogue())['SEC']
    await Price.create(partner=portal.northwind.partner, product=product, unit_price='2.60')
    for role, sees in ((PortalRole.ADMINISTRATOR, True), (PortalRole.FINANCE, True), (PortalRole.READ_ONLY, False)):
        await PortalUser.filter(id=portal.northwind.ana.id).update(role=role)
        await portal.sign_in(portal.northwind.ana)
        rows = (await portal.http.get(want)).json()['upgrades']['rows']
        assert any(row['price'] == '2.60' for row in rows) == sees


# -- who may ----------------------------------------------------------------------------------------------------------

FACTS = {'facts': {}, 'was': {}}
SENT: dict[str, Any] = {
    'note.add': {'body': 'x'}, 'note.edit_own': {'body': 'x', 'seen': 1}, 'customer.change': FACTS,
    'contact.change': FACTS, 'infrastructure.change': FACTS,
}  # fmt: skip


def _filled(path: str, customer: int | str, note: int) -> str:
    return path.replace('{customer_id}', str(customer)).replace('{note_id}', str(note)).replace('{kind}', 'main')


# The acts of this page; those of all pages, without the sentences, are in test_matrix.py.
HERE = [key for key in ACTS if '{customer_id}' in key[1] and key[1] in {route.path for route in router.routes}]


def test_every_act_of_this_page_is_tried_here():
    assert HERE
    assert {ACTS[key] for key in HERE} <= set(SENT)


@pytest.mark.parametrize(('method', 'path'), HERE)
async def test_nobody_acts_on_a_customer_that_is_not_theirs(portal, emile, method, path):
    note = await _note(emile, portal.northwind.ana)
    body = SENT[ACTS[method, path]]
    assert (await portal.http.request(method, _filled(path, emile.id, note.id), json=body)).status_code == 401
    for who in (portal.fabrikam.eve, portal.northwind.tom):
        await portal.sign_in(who)
        foreign = await portal.http.request(method, _filled(path, emile.id, note.id), json=body)
        unknown = await portal.http.request(method, _filled(path, 999999, note.id), json=body)
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.content == unknown.content
        assert (await portal.http.request(method, _filled(path, 'abc', note.id), json=body)).status_code == 404


@pytest.mark.parametrize('role', list(PortalRole))
@pytest.mark.parametrize(('method', 'path'), HERE)
async def test_who_may_not_is_told_so_and_nothing_is_stored(portal, emile, method, path, role):
    note = await _note(emile, portal.northwind.ana)
    ana = portal.northwind.ana
    await PortalUser.filter(id=ana.id).update(role=role)
    await portal.sign_in(ana)
    right = ACTS[method, path]
    before = await HistoryEvent.all().count()
    answer = await portal.http.request(method, _filled(path, emile.id, note.id), json=SENT[right])
    ana.role = role
    assert (answer.status_code != 403) == may(ana, right), answer.text
    if answer.status_code == 403:
        assert 'does not include this' in answer.json()['error']
        assert await HistoryEvent.all().count() == before


@pytest.mark.parametrize('path', ['parts?want=head', 'history', 'history.csv', 'notes?before=9', 'notes/1/versions'])
async def test_nothing_of_a_customer_is_read_by_those_who_may_not_know_of_it(portal, emile, path):
    await _note(emile, portal.northwind.ana)
    address = f'{BASE.format(emile.id)}/{path}'
    assert (await portal.http.get(address)).status_code == 401
    for who in (portal.fabrikam.eve, portal.northwind.tom):
        await portal.sign_in(who)
        foreign = await portal.http.get(address)
        assert foreign.status_code == 404
        assert foreign.content == (await portal.http.get(address.replace(str(emile.id), '999999', 1))).content


async def test_a_note_of_another_customer_is_not_reached_through_ones_own(portal, emile):
    other = await portal.add(portal.fabrikam.partner, 'Foreign')
    theirs = await _note(other, portal.fabrikam.eve, 'Secret')
    await portal.sign_in(portal.northwind.ana)
    address = f'{BASE.format(emile.id)}/notes/{theirs.id}'
    assert (await portal.http.post(address, json={'body': 'x', 'seen': 1})).status_code == 404
    assert (await portal.http.get(f'{address}/versions')).status_code == 404
    assert (await Note.get(id=theirs.id)).body == 'Secret'


async def test_only_an_administrator_edits_the_note_of_somebody_else(portal, emile):
    tom = portal.northwind.tom
    await CustomerAccess.create(user=tom, customer=emile, allowed=True)
    note = await _note(emile, portal.northwind.ana)
    await portal.sign_in(tom)
    address = f'{BASE.format(emile.id)}/notes/{note.id}'
    assert (await portal.http.post(address, json={'body': 'Mine', 'seen': 1})).status_code == 403
    mine = await _note(emile, tom)
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(f'{BASE.format(emile.id)}/notes/{mine.id}', json={'body': 'Hers', 'seen': 1})
    assert answer.json() == {'id': mine.id, 'version': 2}


# -- acting -----------------------------------------------------------------------------------------------------------


async def test_the_second_of_two_editors_is_told_what_it_says_now(portal, emile):
    note = await _note(emile, portal.northwind.ana)
    await portal.sign_in(portal.northwind.ana)
    address = f'{BASE.format(emile.id)}/notes/{note.id}'
    assert (await portal.http.post(address, json={'body': 'First', 'seen': 1})).status_code == 200
    answer = await portal.http.post(address, json={'body': 'Second', 'seen': 1})
    assert answer.status_code == 409
    told = answer.json()['note']
    assert (told['body'], told['version'], told['by']) == ('First', 2, 'Ana')
    versions = (await portal.http.get(f'{address}/versions')).json()['versions']
    assert [version['body'] for version in versions] == ['Something']


@pytest.mark.parametrize(
    ('path', 'body', 'field'),
    [
        ('notes', {'body': ''}, 'body'),
        ('notes', {'body': ' \n\u200b'}, 'body'),
        ('notes', {'body': 'x' * 100_001}, 'body'),
        ('notes', {'body': 5}, 'body'),
        ('notes', {}, 'body'),
        ('facts', {'facts': {'name': ''}, 'was': {}}, 'name'),
        ('facts', {'facts': {'account_code': 'a b'}, 'was': {}}, 'account_code'),
        ('facts', {'facts': [], 'was': {}}, 'facts'),
        ('facts', {'facts': {'account_type': 'none such'}, 'was': {}}, 'account_type'),
        ('contacts/main', {'facts': {'email': 'nobody'}, 'was': {}}, 'email'),
        ('contacts/main', {'facts': {'phone': '12'}, 'was': {}}, 'phone'),
        ('contacts/none', {'facts': {'email': 'a@b.example.com'}, 'was': {}}, 'kind'),
        ('contacts/main', {'facts': {'password': 'x'}, 'was': {}}, 'password'),
        ('infrastructure', {'facts': {'outbound_ips': '10.0.0.1'}, 'was': {}}, 'outbound_ips'),
        ('infrastructure', {'facts': {'domains': 'no domain'}, 'was': {}}, 'domains'),
        ('infrastructure', {'facts': {'mail_platform': 'pigeon'}, 'was': {}}, 'mail_platform'),
    ],
)
async def test_what_cannot_be_is_said_beside_its_field(portal, emile, path, body, field):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(f'{BASE.format(emile.id)}/{path}', json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()['field'] == field
    assert answer.json()['error']


@pytest.mark.parametrize('body', [b'{', b'[]', b'\xff', b'null', b'"x"', b'[' * 100_000, b'{"body": "\\ud800"}'])
async def test_what_is_no_json_object_is_refused_in_a_sentence(portal, emile, body):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(f'{BASE.format(emile.id)}/notes', content=body)
    assert answer.status_code == 422
    assert answer.json()['error']
    assert not await Note.all().count()


async def test_a_huge_body_is_refused_before_it_is_read_whole(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(f'{BASE.format(emile.id)}/notes', content=b'"' + b'x' * 3_000_000)
    assert answer.status_code in (413, 422)
    assert not await Note.all().count()


async def test_right_to_left_text_emoji_and_the_longest_note_are_kept_as_they_are(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    for body in ('שלום עולם 👩‍💻\nzweite Zeile', 'é' * 100_000, '<script>alert(1)</script> javascript:alert(2)'):
        answer = await portal.http.post(f'{BASE.format(emile.id)}/notes', json={'body': body})
        assert answer.status_code == 200, answer.text
        assert (await Note.get(id=answer.json()['id'])).body == body


async def test_facts_are_changed_and_a_change_that_was_overtaken_is_told(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    base = BASE.format(emile.id)
    facts = {'facts': {'first_name': 'Zoë', 'email': 'zoe@emile.example.com'}, 'was': {'first_name': '', 'email': ''}}
    assert (await portal.http.post(f'{base}/contacts/main', json=facts)).json() == {'changed': ['email', 'first_name']}
    assert (await Contact.get(customer_id=emile.id)).first_name == 'Zoë'
    late = {'facts': {'first_name': 'Chloé'}, 'was': {'first_name': ''}}
    answer = await portal.http.post(f'{base}/contacts/main', json=late)
    assert answer.status_code == 409
    assert (answer.json()['field'], answer.json()['now']) == ('first_name', 'Zoë')
    places = {'facts': {'domains': 'emile.example\nbäckerei.example', 'mail_platform': 'other'}, 'was': {}}
    assert (await portal.http.post(f'{base}/infrastructure', json=places)).status_code == 200
    assert len((await Infrastructure.get(customer_id=emile.id)).domains) == 2
    renamed = {'facts': {'name': 'Émile & Fils'}, 'was': {'name': 'Émile’s Bakery'}}
    assert (await portal.http.post(f'{base}/facts', json=renamed)).json() == {'changed': ['name']}
    assert (await Customer.get(id=emile.id)).name == 'Émile & Fils'


async def test_every_field_that_is_wrong_is_told_and_none_is_stored(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    for path, facts, errors in (
        (
            'facts', {'name': '', 'tags': 'x' * 41, 'console_url': 'c', 'account_type': 'nfr'},
            {
                'name': 'is empty', 'tags': f'“{"x" * 41}” is longer than 40 characters',
                'console_url': '“c” is not a whole address that begins with https://',
            },
        ),
        (
            'contacts/main', {'email': 'nobody', 'phone': '1', 'first_name': 'Ivo'},
            {
                'email': '“nobody” is not an e-mail address: an email address must have an @-sign',
                'phone': '“1” must begin with + and the country code, as in +44 20 7946 0123',
            },
        ),
        (
            'infrastructure', {'domains': 'x', 'outbound_ips': '::1', 'server_os': 'Debian'},
            {'domains': '“x” is not a domain', 'outbound_ips': '“::1” is not a public address (of this machine)'},
        ),
    ):  # fmt: skip
        answer = await portal.http.post(f'{BASE.format(emile.id)}/{path}', json={'facts': facts, 'was': {}})
        assert (answer.status_code, answer.json()['errors']) == (422, errors), path
    assert not await HistoryEvent.filter(customer_id=emile.id, kind__contains='changed').exists()


async def test_where_the_console_is_is_told_to_those_who_may_enter_it(portal, emile):
    await Customer.filter(id=emile.id).update(console_url='https://c.example/e')
    ana = portal.northwind.ana
    await portal.sign_in(ana)
    for role in (PortalRole.IMPLEMENTATION, PortalRole.READ_ONLY):
        await PortalUser.filter(id=ana.id).update(role=role)
        told = (await portal.http.get(f'{BASE.format(emile.id)}/parts?want=head')).text
        assert ('https://c.example/e' in told) == (role == PortalRole.IMPLEMENTATION)


async def test_another_site_cannot_act_with_somebodys_cookie(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    origin = {'Origin': 'https://evil.example'}
    answer = await portal.http.post(f'{BASE.format(emile.id)}/notes', json={'body': 'x'}, headers=origin)
    assert answer.status_code == 403


async def test_which_cards_are_open_is_remembered_for_each_person(portal, emile):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post('/api/ui/open-cards', json={'open': ['history', 'nothing', 'products']})
    assert answer.json() == {'open': ['products', 'history']}
    await portal.user.open(f'/customers/{emile.id}')
    await portal.should_see('Émile’s Bakery')
    assert portal.config()['open'] == ['products', 'history']
    for wrong in ('{}', '{"open": 5}', 'x'):
        assert (await portal.http.post('/api/ui/open-cards', content=wrong)).status_code == 422


# -- what open pages hear ---------------------------------------------------------------------------------------------


async def _heard(socket: Any, kind: str) -> dict[str, Any]:
    while True:
        message = await socket.heard()
        if message['type'] == 'websocket.send' and (told := orjson.loads(message['text']))['t'] == kind:
            return told


async def test_a_page_hears_of_its_own_customer_only_and_only_of_one_it_may_see(portal, emile, wire):
    other = await portal.add(portal.northwind.partner, 'Other')
    foreign = await portal.add(portal.fabrikam.partner, 'Foreign')
    _, token = await portal.session(portal.northwind.ana)
    async with wire(core.app, '/live', headers={'cookie': f'{COOKIE}={token}'}) as socket:
        await _heard(socket, 'hello')
        for wrong in (foreign.id, 999999, 'x', None, -1, 2**40, True):
            socket.say(orjson.dumps({'watch': 'customer', 'id': wrong}).decode())
        socket.say(orjson.dumps({'watch': 'customer', 'id': emile.id}).decode())
        assert await _heard(socket, 'c') == {'t': 'c', 'id': emile.id, 'parts': ['all']}
        assert set(live.hub.watchers) == {emile.id}
        await _note(foreign, portal.fabrikam.eve)
        await _note(other, portal.northwind.ana)
        await _note(emile, portal.northwind.ana)
        assert await _heard(socket, 'c') == {'t': 'c', 'id': emile.id, 'parts': ['history', 'notes']}
        socket.say(orjson.dumps({'watch': None}).decode())
        await _note(emile, portal.northwind.ana)
        socket.say(orjson.dumps({'watch': 'customer', 'id': other.id}).decode())
        assert (await _heard(socket, 'c'))['id'] == other.id
    assert not live.hub.watchers
    assert not live.hub.touches
