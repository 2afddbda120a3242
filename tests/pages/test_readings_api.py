from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from models import ApiToken, Customer, Flip, Health, Monitor, MonitorKind, MonitorState, RfiState
from models.demo import make_customers
from pages.api import readings as module
from pages.api.readings import Posted, Refused, parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = '/api/v1/readings'


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(module.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://test') as client:
        yield client


@pytest.fixture
async def customer(db, northwind) -> Customer:
    return await Customer.add(northwind.partner, name='Acme', account_code='ACME1', rfi=RfiState.NOT_APPLICABLE)


@pytest.fixture
async def headers(customer) -> dict[str, str]:
    return {'Authorization': f'Bearer {await ApiToken.issue(await customer.partner, "collector")}'}


def _item(**more: Any) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {'customer': 'ACME1', 'monitor': 'inbound_queue', 'value': 500, 'at': at, **more}


# -- one item ---------------------------------------------------------------------------------------------------------


def _parsed(**more: Any) -> Posted | Refused:
    return parse({'customer': 'C', 'monitor': 'inbound_queue', 'value': 1, 'at': '2026-03-01T12:00:00Z', **more}, NOW)


def test_an_item_is_read():
    assert _parsed(state='bad', reason=' a\nb ') == Posted(
        'C', MonitorKind.INBOUND_QUEUE, NOW, 1.0, MonitorState.BAD, 'a b'
    )
    assert _parsed(at='2026-03-01T13:00:00+01:00') == _parsed()
    assert isinstance(_parsed(value=None, state='unknown'), Posted)
    assert isinstance(_parsed(value=0), Posted)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('customer', None), ('customer', ''), ('customer', 7), ('customer', 'x' * 41), ('customer', 'a\x00'),
        ('customer', ['C']),
        ('monitor', None), ('monitor', 'INBOUND_QUEUE'), ('monitor', 'worst'), ('monitor', {}), ('monitor', 1),
        ('value', '5'), ('value', True), ('value', False), ('value', -1), ('value', 1e30), ('value', 10**13),
        ('value', float('inf')), ('value', []), ('value', float('nan')),
        ('state', 'GOOD'), ('state', ''), ('state', 1), ('state', True), ('state', ['good']),
        ('at', None), ('at', ''), ('at', 'now'), ('at', 1772366400), ('at', '2026-03-01'),
        ('at', '2026-03-01T12:00:00'),
        ('at', '2026-02-30T12:00:00Z'), ('at', '2026-03-01T12:05:01Z'), ('at', '2026-01-30T11:59:59Z'),
        ('at', '0001-01-01T00:00:00+14:00'), ('at', '9999-12-31T23:59:59-14:00'), ('at', '2026-03-01T12:00:00Z' * 9),
        ('reason', 5), ('reason', {}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_item_is_told_by_its_field(field, value):
    refused = _parsed(**{field: value})
    assert isinstance(refused, Refused)
    assert refused.field == field
    assert refused.error


def test_the_edges_of_time_are_taken():
    assert isinstance(_parsed(at='2026-03-01T12:05:00Z'), Posted)
    assert isinstance(_parsed(at=(NOW - timedelta(days=30)).isoformat()), Posted)


@pytest.mark.parametrize('monitor', ['journal_connector', 'directory_connector'])
def test_a_value_alone_does_not_say_whether_a_connector_is_good(monitor):
    refused = _parsed(monitor=monitor, value=5)
    assert isinstance(refused, Refused)
    assert refused.field == 'state'
    assert isinstance(_parsed(monitor=monitor, value=5, state='good'), Posted)


def test_an_item_with_neither_value_nor_state_is_refused():
    refused = _parsed(value=None)
    assert isinstance(refused, Refused)
    assert refused.field == 'value'


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=50))
jsons = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(jsons)
def test_any_json_at_all_is_refused_or_read(item):
    assert isinstance(parse(item, NOW), Refused)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            'customer': st.one_of(scalars, st.just('C')),
            'monitor': st.one_of(jsons, st.sampled_from(list(MonitorKind)).map(str)),
            'value': jsons,
            'state': st.one_of(jsons, st.sampled_from(list(MonitorState)).map(str)),
            'at': st.one_of(scalars, st.datetimes(timezones=st.timezones()).map(str), st.just(NOW.isoformat())),
            'reason': scalars,
        },
    )
)
def test_items_that_are_nearly_right_are_read_or_refused(item):
    parsed = parse(item, NOW)
    if isinstance(parsed, Posted):
        assert parsed.at.utcoffset() == timedelta(0)
        assert parsed.value is not None or parsed.state is not None
        assert parsed.reason.isprintable()
        assert len(parsed.reason) <= 200
    else:
        assert parsed.field in ('customer', 'monitor', 'value', 'state', 'at', 'reason')


# -- the route --------------------------------------------------------------------------------------------------------


async def test_posted_readings_are_stored(client, headers, customer):
    batch = [_item(), _item(monitor='journal_connector', value=None, state='good')]
    answer = await client.post(URL, json={'readings': batch}, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {'stored': 2, 'repeated': 0, 'flips': 2, 'refused': []})
    stored = await Customer.get(id=customer.id)
    assert (stored.inbound_queue, stored.journal_connector) == (Health.BAD, Health.GOOD)
    assert (await ApiToken.get()).last_used_at is not None


async def test_a_bare_list_will_do_and_the_same_batch_again_changes_nothing(client, headers):
    batch = [_item()]
    assert (await client.post(URL, json=batch, headers=headers)).json()['stored'] == 1
    again = (await client.post(URL, json=batch, headers=headers)).json()
    assert again == {'stored': 0, 'repeated': 1, 'flips': 0, 'refused': []}
    assert await Flip.all().count() == 1


async def test_good_items_are_stored_and_the_others_told_by_index(client, headers):
    batch = [_item(value='much'), _item(), 7, _item(customer='NOBODY'), _item(monitor='worst')]
    answer = await client.post(URL, json=batch, headers=headers)
    assert answer.status_code == 200
    content = answer.json()
    assert content['stored'] == 1
    assert [(each['index'], each['field']) for each in content['refused']] == [
        (0, 'value'), (2, ''), (3, 'customer'), (4, 'monitor'),
    ]  # fmt: skip
    assert all(each['error'].endswith('.') for each in content['refused'])


async def test_another_msps_customer_looks_unknown(client, headers, fabrikam):
    await Customer.add(fabrikam.partner, name='Theirs', account_code='SECRET1')
    errors = []
    for code in ('SECRET1', 'SECRET2'):
        answer = await client.post(URL, json=[_item(customer=code)], headers=headers)
        errors.append(answer.json()['refused'][0]['error'])
    theirs, nobodys = errors
    assert theirs.replace('SECRET1', 'SECRET2') == nobodys
    assert not await Monitor.filter(read_at__isnull=False).exists()


async def test_a_number_with_more_digits_than_messages_is_refused_with_a_sentence(client, headers):
    content = (await client.post(URL, json=[_item(value=1e30), _item(value=1e12)], headers=headers)).json()
    assert content['stored'] == 1
    assert content['refused'] == [
        {'index': 0, 'field': 'value', 'error': 'This is more than 1,000,000,000,000, and no number of messages.'}
    ]


async def test_an_account_code_is_found_in_any_case_where_only_one_can_be_meant(client, headers, northwind):
    other = await Customer.add(northwind.partner, name='Two', account_code='TWO')
    content = (await client.post(URL, json=[_item(customer='acme1'), _item(customer='Two')], headers=headers)).json()
    assert (content['stored'], content['refused']) == (2, [])
    # Two from before codes that differ by capitals only were refused.
    await Customer.filter(id=other.id).update(account_code='acme1')
    batch = [_item(customer='aCME1'), _item(customer='acme1'), _item(customer='ACME1')]
    content = (await client.post(URL, json=batch, headers=headers)).json()
    assert (content['stored'], [refused['index'] for refused in content['refused']]) == (2, [0])


async def test_a_simulated_customer_takes_none(client, headers, northwind):
    await make_customers(northwind.partner, 1, seed=1)
    simulated = await Customer.get(is_simulated=True)
    content = (await client.post(URL, json=[_item(customer=simulated.account_code)], headers=headers)).json()
    assert (content['stored'], content['refused'][0]['field']) == (0, 'customer')
    assert 'simulated' in content['refused'][0]['error']


@pytest.mark.parametrize(
    'authorization', [None, '', 'Bearer', 'Bearer ', 'Bearer msp_wrong', 'Basic YTpi', 'msp_x', 'Bearer ' + 'x' * 5000]
)
async def test_without_a_token_in_force_nothing_is_taken(client, customer, authorization):
    given = {} if authorization is None else {'Authorization': authorization}
    answer = await client.post(URL, json=[_item()], headers=given)
    assert answer.status_code == 401
    assert answer.headers['www-authenticate'] == 'Bearer'
    assert answer.json()['error']
    assert not await Monitor.filter(read_at__isnull=False).exists()


async def test_a_revoked_token_is_none(client, headers):
    await ApiToken.all().update(revoked_at=datetime.now(UTC))
    assert (await client.post(URL, json=[_item()], headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        (b'', 400), (b'{', 400), (b'\xff\xfe', 400), (b'[1,]', 400), (b'NaN', 400), (b'["\\ud800"]', 400),
        (b'[' * 100_000, 400), (b'[1e400]', 400),
        (b'{}', 422), (b'null', 422), (b'5', 422), (b'"readings"', 422), (b'{"readings": {}}', 422),
        (b'[]', 200), (b'{"readings": []}', 200), (b'[[], {}, null]', 200),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_taken_is_answered_in_a_sentence(client, headers, body, status):
    answer = await client.post(URL, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert list(answer.json()) == ['error']


async def test_too_many_items_are_refused(client, headers):
    answer = await client.post(URL, json=[0] * 10_001, headers=headers)
    assert answer.status_code == 413
    assert 'batches' in answer.json()['error']


async def test_a_huge_body_is_read_no_further_than_it_may_be_long(client, headers):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 65536
            yield b' ' * 65536

    for lie in ({}, {'Content-Length': '10'}):
        sent = 0
        answer = await client.post(URL, content=endless(), headers=headers | lie)
        assert answer.status_code == 413


async def test_a_body_that_is_announced_as_huge_is_not_read_at_all(headers):
    async def receive() -> dict[str, Any]:
        raise AssertionError('it was read')

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(k.lower().encode(), v.encode()) for k, v in (headers | {'Content-Length': str(5 * 1024 * 1024)}).items()]
    app = FastAPI()
    app.include_router(module.router)
    scope = {
        'type': 'http', 'method': 'POST', 'path': URL, 'raw_path': URL.encode(), 'query_string': b'', 'headers': raw,
        'http_version': '1.1', 'scheme': 'http', 'server': ('test', 80), 'client': ('test', 1), 'root_path': '',
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]['status'] == 413


async def test_a_compressed_body_is_not_taken(client, headers):
    answer = await client.post(URL, content=b'\x1f\x8b', headers=headers | {'Content-Encoding': 'gzip'})
    assert answer.status_code == 415


async def test_ten_thousand_readings_fit_into_one_batch(client, headers, customer):
    at = datetime.now(UTC) - timedelta(hours=1)
    batch = [
        _item(
            monitor=kind,
            value=n,
            at=(at + timedelta(milliseconds=n)).isoformat(),
            **({} if kind.is_queue else {'state': 'good'}),
        )
        for n in range(2000)
        for kind in MonitorKind
    ]
    body = orjson.dumps(batch)
    assert len(body) < 4 * 1024 * 1024
    answer = await client.post(URL, content=body, headers=headers)
    assert (answer.status_code, answer.json()['stored']) == (200, 10_000)


async def test_a_locked_database_is_a_reason_to_try_again(client, sqlite_db, northwind):
    import sqlite3

    from tortoise.connection import get_connection

    await Customer.add(northwind.partner, name='Acme', account_code='ACME1')
    given = {'Authorization': f'Bearer {await ApiToken.issue(northwind.partner, "collector")}'}
    await get_connection('default').execute_query('PRAGMA busy_timeout=50')
    other = sqlite3.connect(sqlite_db.sqlite_path, isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    answer = await client.post(URL, json=[_item()], headers=given)
    other.close()
    assert answer.status_code == 503
    assert int(answer.headers['retry-after']) > 0
    assert (await client.post(URL, json=[_item()], headers=given)).json()['stored'] == 1
