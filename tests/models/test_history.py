"""The history is written once, reads quickly, and tells on whoever tampers with it."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tortoise.connection import get_connection
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from models import (
    Customer,
    Flip,
    HistoryChain,
    HistoryEvent,
    HistoryText,
    MonitorKind,
    MonitorState,
    Partner,
    PortalRole,
    PortalUser,
    events,
    rights,
)
from models.database import is_sqlite
from models.demo import make_customers
from models.events import transaction
from models.history import TRIGGERS, Entry, append_many
from models.history_reading import KINDS, MILESTONES, STORY, each, page, people, recent
from models.history_verifying import count, missing_triggers, verify

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _number() -> int:
    """Of a customer that nobody else has; the history names customers by number."""
    return next(_numbers)


_numbers = itertools.count(1000)


async def _run(*statements: str) -> None:
    for statement in statements:
        await get_connection('default').execute_query(statement)


async def _write(entries: list[Entry]) -> None:
    async with transaction() as connection:
        await append_many(connection, entries)


async def _simulated(partner: Partner) -> Customer:
    await make_customers(partner, 1, seed=1)
    return await Customer.get(partner=partner, is_simulated=True)


async def _unprotect() -> None:
    for name in TRIGGERS['sqlite' if is_sqlite() else 'postgres']:
        table = next(table for table in ('history_event', 'history_text', 'customer') if name.startswith(table))
        await _run(f'DROP TRIGGER {name}' if is_sqlite() else f'ALTER TABLE {table} DISABLE TRIGGER {name}')


async def _protect() -> None:
    if not is_sqlite():
        await _run(*(f'ALTER TABLE {table} ENABLE TRIGGER USER' for table in ('history_event', 'history_text')))
        await _run('ALTER TABLE customer ENABLE TRIGGER USER')


@pytest.fixture
async def unprotected(db):
    """A database whose triggers somebody has taken away."""
    await _unprotect()
    yield db
    await _protect()


@pytest.fixture
async def customer(db, northwind) -> Customer:
    return await Customer.add(northwind.partner, name='Acme', account_code='ACME1', by=northwind.ana)


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_entries_follow_from_each_other_in_the_chain_of_their_customer(db, northwind, customer):
    await HistoryEvent.add(customer.partner_id, 'rfi.sent', 'two', customer_id=customer.id, by=northwind.ana, form=7)
    await HistoryEvent.add(customer.partner_id, 'user.registered', 'of the MSP')
    first, second = await HistoryEvent.filter(customer_id=customer.id).order_by('sequence')
    assert (first.sequence, first.previous, second.sequence, second.previous) == (1, '', 2, first.hash)
    end = await HistoryChain.get(chain=f'c:{customer.id}')
    assert (end.length, end.head, end.customer_id) == (2, second.hash, customer.id)
    assert (await HistoryChain.get(chain=f'p:{customer.partner_id}')).length == 1
    text = await second.text()
    assert text is not None
    assert (text.actor, text.summary, text.facts) == ('Ana', 'two', {'form': 7})
    assert await verify() == []


async def test_an_entry_needs_no_transaction_and_tells_the_page_of_its_customer(db, customer):
    heard: list[tuple] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda *told: heard.append(told))
    await HistoryEvent.add(customer.partner_id, 'rfi.sent', 'one', customer_id=customer.id)
    assert heard == [(customer.partner_id, {customer.id: frozenset({'history'})})]
    await HistoryEvent.add(customer.partner_id, 'rfi.sent', 'of the MSP')
    assert len(heard) == 1


async def test_a_verb_that_fails_leaves_nothing_in_the_chain(db, customer):
    before = await HistoryChain.all().order_by('chain').values()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with transaction():
            await HistoryEvent.add(customer.partner_id, 'rfi.sent', 'one', customer_id=customer.id)
            raise ZeroDivisionError
    assert await HistoryChain.all().order_by('chain').values() == before
    assert await verify() == []


async def test_any_text_and_any_data_are_as_written(db):
    moment = datetime(2026, 3, 1, 14, tzinfo=UTC).astimezone(datetime.now().astimezone().tzinfo)
    data = {
        'float': 1e22,
        'small': 1e-7,
        'text': 'Łódź "\u2028\'?1 $1',
        'when': START,
        'none': None,
        'list': [True, 2.0],
    }
    await HistoryEvent.add(1, 'x.y', 'Émile ?1 $2 ' + 'z' * 500, customer_id=5, at=moment, **data)
    await HistoryEvent.add(1, 'x.y', 'on the second', customer_id=5, at=START.replace(microsecond=0))
    assert await verify() == []
    newest, *_ = (await page(5, group='all'))[0]
    assert newest['at'] == '2026-03-01T14:00:00.000000+00:00'
    assert len(newest['summary']) == 400
    assert newest['data']['float'] == 1e22


async def test_writers_at_the_same_moment_wait_for_each_other(db):
    chain = _number()

    async def append(n: int) -> None:
        async with transaction():
            await HistoryEvent.add(1, 'x.y', f'{n}', customer_id=chain)
            await asyncio.sleep(0.002)
            await HistoryEvent.add(1, 'x.y', f'{n} again', customer_id=chain)

    async def many(n: int) -> None:
        numbers = [chain, chain + 1, chain + 2]
        await _write([Entry(1, c, 'x.y', START, f'{n}') for c in (numbers if n % 2 else reversed(numbers))])

    await asyncio.gather(*(append(n) for n in range(12)), *(many(n) for n in range(12)))
    assert (await HistoryChain.get(chain=f'c:{chain}')).length == 36
    entries = await HistoryEvent.filter(chain=f'c:{chain}').order_by('sequence')
    assert [entry.sequence for entry in entries] == list(range(1, 37))
    assert await verify() == []


async def test_more_chains_than_one_statement_takes(db):
    first = _number()
    await _write([Entry(1, first + n, 'x.y', START, f'{n}') for n in range(2500)])
    await _write([Entry(1, first + n, 'x.y', START, f'{n}') for n in reversed(range(2500))])
    assert await count() == (5000, 2500)
    assert await verify() == []


# -- the database refuses ---------------------------------------------------------------------------------------------

ANYWHERE = [
    "UPDATE history_event SET kind = 'x'",
    'UPDATE history_event SET id = id + 1000',
    "UPDATE history_text SET summary = 'x'",
    'DELETE FROM history_event',
    'UPDATE customer SET is_simulated = TRUE',
]
ON_SQLITE = [
    'INSERT OR REPLACE INTO history_event SELECT * FROM history_event',
    'REPLACE INTO history_event (id, partner_id, kind, at, chain, sequence) '
    "SELECT id + 1000, 1, 'x', at, chain, sequence FROM history_event",
    'INSERT INTO history_event SELECT * FROM history_event WHERE TRUE ON CONFLICT (id) DO UPDATE SET kind = 1',
    "UPDATE OR REPLACE history_event SET kind = 'x'",
    'DELETE FROM history_event WHERE rowid IN (SELECT rowid FROM history_event)',
    'INSERT OR REPLACE INTO history_text SELECT event_id, salt, actor, 1, data FROM history_text',
]
ON_POSTGRESQL = [
    'TRUNCATE history_event',
    'TRUNCATE history_text',
    'TRUNCATE history_event CASCADE',
    'INSERT INTO history_event SELECT * FROM history_event ON CONFLICT (id) DO UPDATE SET kind = 1',
    "INSERT INTO history_text SELECT * FROM history_text ON CONFLICT (event_id) DO UPDATE SET summary = 'x'",
]


async def _contents() -> list:
    return [await model.all().order_by(model._meta.pk_attr).values() for model in (HistoryEvent, HistoryText, Customer)]


async def _check_refused(statement: str) -> None:
    before = await _contents()
    with pytest.raises(IntegrityError):
        await _run(statement)
    assert await _contents() == before


@pytest.mark.parametrize('statement', ANYWHERE)
async def test_no_statement_changes_or_deletes_an_entry(db, customer, statement):
    await _check_refused(statement)


@pytest.mark.parametrize('statement', ON_SQLITE)
async def test_no_statement_of_sqlite_gets_around_it(sqlite_db, northwind, statement):
    await Customer.add(northwind.partner, name='Acme', account_code='ACME1', by=northwind.ana)
    await _check_refused(statement)


@pytest.mark.postgres
@pytest.mark.parametrize('statement', ON_POSTGRESQL)
async def test_no_statement_of_postgresql_gets_around_it(postgres_db, northwind, statement):
    await Customer.add(northwind.partner, name='Acme', account_code='ACME1', by=northwind.ana)
    await _check_refused(statement)


async def test_the_history_of_a_deleted_customer_stays(db, northwind, customer):
    before = await HistoryEvent.all().values()
    await customer.delete()
    assert await HistoryEvent.all().values() == before
    assert await HistoryText.all().count() == 1
    await _check_refused('DELETE FROM history_event')


async def test_a_simulated_customer_cannot_take_the_place_of_a_real_one(db, northwind, customer):
    simulated = await _simulated(northwind.partner)
    await customer.delete()
    await _check_refused(f'UPDATE customer SET id = {customer.id} WHERE id = {simulated.id}')
    with pytest.raises(IntegrityError):
        await simulated.clone(pk=customer.id).save(force_create=True)
    await _run(f'DELETE FROM history_event WHERE customer_id = {simulated.id}')  # demo data is not for ever


async def test_all_triggers_are_there(db):
    assert await missing_triggers(get_connection('default')) == []


async def test_a_trigger_that_is_away_is_noticed(unprotected):
    assert len(await missing_triggers(get_connection('default'))) == 7


# -- reading ----------------------------------------------------------------------------------------------------------


async def _filled(northwind) -> int:
    """A customer's number whose history has entries and flips at the same moments, some of them by Ana."""
    customer = await Customer.add(northwind.partner, name='Long', account_code='LONG1')
    kinds = ['rfi.sent', 'connect.step_complete', 'note.added', 'x.y', 'monitor.threshold_changed', 'order.delivered']
    ana = northwind.ana
    await _write([
        Entry(northwind.partner.id, customer.id, kinds[n % 6], START + (n // 4) * MINUTE, f'{n}',
              ana.id if n % 5 == 0 else None, 'Ana' if n % 5 == 0 else '')
        for n in range(60)
    ])  # fmt: skip
    states = itertools.cycle([MonitorState.GOOD, MonitorState.BAD])
    await Flip.bulk_create([
        Flip(customer=customer, kind=MonitorKind.INBOUND_QUEUE, old=MonitorState.UNKNOWN, new=next(states),
             value=340, at=START + (n // 2) * MINUTE)
        for n in range(30)
    ])  # fmt: skip
    return customer.id


@pytest.mark.parametrize('group', ['', 'all', *KINDS])
async def test_pages_put_together_are_everything_once_and_newest_first(db, northwind, group):
    id_ = await _filled(northwind)
    whole, end = await page(id_, group=group, limit=1000)
    assert end == ''
    for limit in (1, 3, 7):
        found, before = [], ''
        while True:
            some, before = await page(id_, group=group, limit=limit, before=before)
            assert len(some) <= limit
            found += some
            if not before:
                break
        assert found == whole
    assert [entry['at'] for entry in whole] == sorted((entry['at'] for entry in whole), reverse=True)
    assert len({(entry['id'], entry['flip']) for entry in whole}) == len(whole)
    assert [entry async for entry in each(id_, group=group)] == whole
    flips = 30 if group in ('all', 'monitor') else 0
    assert sum(entry['flip'] for entry in whole) == flips
    if group == 'all':
        assert len(whole) == 91
    elif group:
        assert all(entry['flip'] or entry['kind'].startswith(KINDS[group][1]) for entry in whole)
    else:
        told = [entry for entry in whole if entry['kind'].startswith(STORY)]
        assert all(entry['milestone'] or entry['actor_id'] or entry in told for entry in whole)
        assert {entry['kind'] for entry in whole} >= {'customer.created', 'note.added', 'rfi.sent'}
        # Whoever moved them, and by a check or the portal too.
        assert len(told) == 20
        by_nobody = {entry['kind'] for entry in told if not entry['actor_id']}
        assert by_nobody == {'connect.step_complete', 'order.delivered'}


async def test_filters_leave_out_what_is_of_others_and_of_other_days(db, northwind):
    id_ = await _filled(northwind)
    found, _ = await page(id_, group='all', person=northwind.ana.id, limit=1000)
    assert len(found) == 12
    assert {entry['actor'] for entry in found} == {'Ana'}
    found, _ = await page(id_, group='all', since=START + 2 * MINUTE, until=START + 3 * MINUTE)
    assert [(entry['summary'], entry['flip']) for entry in found][:4] == [(f'{n}', False) for n in (11, 10, 9, 8)]
    assert len(found) == 6
    assert await people(id_) == [(northwind.ana.id, 'Ana')]
    assert [entry['kind'] for entry in await recent(id_, 1)] == ['customer.created']
    assert await page(999_999, group='all') == ([], '')


async def test_a_flip_is_told_in_words(db, northwind):
    id_ = await _filled(northwind)
    newest = next(entry for entry in (await page(id_, group='monitor'))[0] if entry['flip'])
    assert newest['summary'] == 'Inbound email queue: problem (340 waiting)'
    assert (newest['flip'], newest['actor_id'], newest['data']['new']) == (True, None, 'bad')


@pytest.mark.parametrize('cursor', ['x', '12', 'e12', '1e', '1e2f', '-99999999999999999e1', '1g2'])
async def test_a_place_that_is_none_is_refused_in_words(db, cursor):
    with pytest.raises(ValueError, match='no place in the history'):
        await page(1, before=cursor)


async def test_a_group_that_is_none_is_refused_in_words(db):
    with pytest.raises(ValueError, match='no group of entries'):
        await page(1, group='nonsense')


def test_every_milestone_is_in_a_group():
    beginnings = tuple(begin for _, begins in KINDS.values() for begin in begins)
    assert all(kind.startswith(beginnings) for kind in (*MILESTONES, *STORY))


async def test_a_long_history_stays_quick(db, northwind):
    customer = await Customer.add(northwind.partner, name='Long', account_code='LONG1')
    for start in range(0, 10_000, 2000):
        await _write([
            Entry(1, customer.id, 'x.y', START + n * MINUTE, f'{n}', 1 if n % 500 == 0 else None, 'Ana')
            for n in range(start, start + 2000)
        ])  # fmt: skip
    await Flip.bulk_create([
        Flip(customer=customer, kind=MonitorKind.INBOUND_QUEUE, old=MonitorState.GOOD, new=MonitorState.BAD,
             at=START + n * MINUTE)
        for n in range(10_000)
    ])  # fmt: skip
    if not is_sqlite():
        await _run('ANALYZE history_event', 'ANALYZE flip')
    middle = (await page(customer.id, group='all', limit=1000))[1]
    filters: dict[str, Any]
    for filters in ({}, {'group': 'all'}, {'group': 'all', 'before': middle}, {'group': 'rfi'}, {'person': 1}):
        took = []
        for _ in range(3):
            began = perf_counter()
            await page(customer.id, **filters)
            took.append(perf_counter() - began)
        assert min(took) < 0.2, filters  # some milliseconds; the machine may be busy
    began = perf_counter()
    assert await people(customer.id)
    assert perf_counter() - began < 1


# -- erasing ----------------------------------------------------------------------------------------------------------


async def test_an_erased_text_is_gone_and_the_chain_holds(db, northwind, customer):
    event = await HistoryEvent.get(customer_id=customer.id)
    heard: list[tuple] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda *told: heard.append(told))
    await HistoryEvent.erase(event.id, partner_id=northwind.partner.id, because='asked on Monday', by=northwind.ana)
    assert heard
    assert not await HistoryText.filter(event_id=event.id).exists()
    erasure, erased = (await page(customer.id))[0]
    assert (erased['erased'], erased['actor'], erased['data']) == (True, '', {})
    assert 'Acme' not in erased['summary']
    assert (erasure['kind'], erasure['actor'], erasure['data']) == (
        'history.erased', 'Ana', {'chain': f'c:{customer.id}', 'sequence': 1},
    )  # fmt: skip
    assert 'asked on Monday' in erasure['summary']
    assert await verify() == []
    if is_sqlite():
        assert await get_connection('default').execute_query_dict('PRAGMA secure_delete') == [{'secure_delete': 1}]


async def test_what_cannot_be_erased_is_refused(db, northwind, fabrikam, customer):
    event, ana = await HistoryEvent.get(customer_id=customer.id), northwind.ana
    mine: dict[str, Any] = {'partner_id': northwind.partner.id, 'because': 'asked', 'by': ana}
    with pytest.raises(rights.Refused):
        await HistoryEvent.erase(event.id, **mine | {'by': northwind.tom})
    unknown: dict[str, Any]
    for unknown in (
        {'partner_id': fabrikam.partner.id},
        {'partner_id': fabrikam.partner.id, 'by': fabrikam.eve},
        {'by': fabrikam.eve},
    ):
        with pytest.raises(HistoryEvent.Unknown):
            await HistoryEvent.erase(event.id, **mine | unknown)
    with pytest.raises(HistoryEvent.Unknown):
        await HistoryEvent.erase(987_654, **mine)
    blank: dict[str, Any] = {'because': ' '}
    with pytest.raises(HistoryEvent.NotErasable, match='say why'):
        await HistoryEvent.erase(event.id, **mine | blank)
    before = await HistoryEvent.all().count()
    await HistoryEvent.erase(event.id, **mine)
    with pytest.raises(HistoryEvent.NotErasable, match='before'):
        await HistoryEvent.erase(event.id, **mine)
    with pytest.raises(HistoryEvent.NotErasable, match='itself'):
        await HistoryEvent.erase((await HistoryEvent.get(kind='history.erased')).id, **mine)
    assert await HistoryEvent.all().count() == before + 1


async def test_of_two_who_erase_at_once_one_does(db, northwind, customer):
    event = await HistoryEvent.get(customer_id=customer.id)
    said: dict[str, Any] = {'partner_id': northwind.partner.id, 'because': 'asked', 'by': northwind.ana}
    both = await asyncio.gather(*(HistoryEvent.erase(event.id, **said) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in both if each] == [HistoryEvent.NotErasable]
    assert await HistoryEvent.filter(kind='history.erased').count() == 1
    assert await verify() == []


# -- tampering --------------------------------------------------------------------------------------------------------

THIRD = "(SELECT id FROM history_event WHERE chain = 'c:5' AND sequence = 3)"
COPY = 'kind, at, actor_id, text_hash, previous, hash) SELECT partner_id, customer_id, chain,'
TAMPERINGS = {
    'kind': f"UPDATE history_event SET kind = 'x.z' WHERE id = {THIRD}",
    'at': f"UPDATE history_event SET at = '2026-01-01 00:00:00+00:00' WHERE id = {THIRD}",
    'actor': f'UPDATE history_event SET actor_id = 77 WHERE id = {THIRD}',
    'partner': f'UPDATE history_event SET partner_id = 77 WHERE id = {THIRD}',
    'customer': f'UPDATE history_event SET customer_id = 77 WHERE id = {THIRD}',
    'chain': f"UPDATE history_event SET chain = 'c:6', sequence = 6 WHERE id = {THIRD}",
    'sequence': f'UPDATE history_event SET sequence = 99 WHERE id = {THIRD}',
    'hash': f"UPDATE history_event SET hash = 'x' WHERE id = {THIRD}",
    'previous': f"UPDATE history_event SET previous = '' WHERE id = {THIRD}",
    'one is gone': f'DELETE FROM history_event WHERE id = {THIRD}',
    'the oldest is gone': "DELETE FROM history_event WHERE chain = 'c:5' AND sequence = 1",
    'the newest is gone': "DELETE FROM history_event WHERE chain = 'c:5' AND sequence = 5",
    'the newest and its text are gone': (
        "DELETE FROM history_text WHERE event_id = (SELECT id FROM history_event WHERE chain = 'c:5' AND sequence = 5)",
        "DELETE FROM history_event WHERE chain = 'c:5' AND sequence = 5",
    ),
    'the newest is gone and the end says so': (
        "DELETE FROM history_event WHERE chain = 'c:5' AND sequence = 5",
        "UPDATE history_chain SET length = 4 WHERE chain = 'c:5'",
    ),
    'all are gone': "DELETE FROM history_event WHERE chain = 'c:5'",
    'the end is gone': "DELETE FROM history_chain WHERE chain = 'c:5'",
    'the end is another': "UPDATE history_chain SET head = 'x' WHERE chain = 'c:5'",
    'the length is more': "UPDATE history_chain SET length = 6 WHERE chain = 'c:5'",
    'the beginning is said to be forgotten': (
        "DELETE FROM history_event WHERE chain = 'c:5' AND sequence < 3",
        "UPDATE history_chain SET pruned = 2 WHERE chain = 'c:5'",
    ),
    'summary': f"UPDATE history_text SET summary = 'x' WHERE event_id = {THIRD}",
    'name': f"UPDATE history_text SET actor = 'Tom' WHERE event_id = {THIRD}",
    'data': f"UPDATE history_text SET data = '[]' WHERE event_id = {THIRD}",
    'salt': f"UPDATE history_text SET salt = 'x' WHERE event_id = {THIRD}",
    'text is gone': f'DELETE FROM history_text WHERE event_id = {THIRD}',
    'one more': f"INSERT INTO history_event (partner_id, customer_id, chain, sequence, {COPY} 6, 'x', at, actor_id, "
                f'text_hash, hash, hash FROM history_event WHERE id = {THIRD}',
    'twice': (
        'DROP INDEX IF EXISTS {unique}',
        f'INSERT INTO history_event (partner_id, customer_id, chain, sequence, {COPY} sequence, kind, at, actor_id, '
        f'text_hash, previous, hash FROM history_event WHERE id = {THIRD}',
    ),
}  # fmt: skip


async def _two_chains() -> None:
    await _write([Entry(1, c, 'x.y', START + n * MINUTE, f'{n}', n, 'Ana') for n in range(5) for c in (5, 6)])
    await _write([Entry(1, None, 'x.y', START, 'of the MSP')])


@pytest.mark.parametrize('tampering', TAMPERINGS)
async def test_whatever_is_tampered_with_is_found(unprotected, tampering):
    await _two_chains()
    assert await verify() == []
    statements = TAMPERINGS[tampering]
    statements = (statements,) if isinstance(statements, str) else statements
    if tampering == 'twice':
        if not is_sqlite():
            pytest.skip('the constraint is of the tests’ own database')
        found = await get_connection('default').execute_query_dict(
            "SELECT name FROM sqlite_master WHERE tbl_name = 'history_event' AND sql LIKE '%UNIQUE INDEX%'"
        )
        statements = (statements[0].format(unique=found[0]['name']), *statements[1:])
    await _run(*statements)
    findings = await verify()
    assert findings
    assert {finding.chain for finding in findings} <= {'c:5', 'c:6', ''}
    assert all('\n' not in str(finding) and str(finding).strip() for finding in findings)


async def test_only_a_simulated_customer_may_lack_its_beginning(unprotected, northwind):
    for is_simulated in (True, False):
        partner = northwind.partner
        customer = await (_simulated(partner) if is_simulated else Customer.add(partner, name='A', account_code='A1'))
        for n in range(4):
            await HistoryEvent.add(1, 'x.y', f'{n}', customer_id=customer.id)
        chain = f"chain = 'c:{customer.id}'"
        older = f'(SELECT id FROM history_event WHERE {chain} AND sequence < 3)'
        await _run(
            f'DELETE FROM history_text WHERE event_id IN {older}',
            f'DELETE FROM history_event WHERE {chain} AND sequence < 3',
        )
        assert await verify()
        await _run(f'UPDATE history_chain SET pruned = 2 WHERE {chain}')
        assert bool(await verify()) != is_simulated


async def test_verifying_while_others_write_finds_nothing(db, monkeypatch):
    monkeypatch.setattr('models.history_verifying.PORTION', 3)
    await _two_chains()
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            for customer_id in (4, 5, 6, None):
                await HistoryEvent.add(1, 'x.y', 'more', customer_id=customer_id)

    writing = asyncio.create_task(write())
    try:
        for _ in range(10):
            assert await verify() == []
    finally:
        stop.set()
        await writing


async def test_progress_is_told(db):
    await _two_chains()
    told: list[tuple[int, int]] = []
    assert await verify(progress=lambda done, total: told.append((done, total))) == []
    assert told == [(11, 11)]
    assert await count(1) == (11, 3)


_column = st.sampled_from(['kind', 'actor_id', 'hash', 'previous', 'text_hash', 'sequence', 'partner_id'])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just('add'), st.integers(0, 2)),
        st.tuples(st.just('add_many'), st.integers(0, 2)),
        st.tuples(st.just('erase'), st.integers(0, 50)),
        st.tuples(st.just('tamper'), st.integers(0, 50), _column),
        st.tuples(st.just('remove'), st.integers(0, 50)),
        st.tuples(st.just('silence'), st.integers(0, 50)),
    ),
    max_size=12,
)


@given(steps=_steps)
@settings(max_examples=40)
def test_what_is_tampered_with_is_found_and_nothing_else_ever(steps, tampered_with):
    tampered_with(steps)


@pytest.fixture
def tampered_with(sqlite_template, tmp_path_factory, monkeypatch):
    """Do these steps in a database of their own, and hold what verifying finds against what was done."""
    import shutil

    from models.database import opened
    from settings import Settings

    def done(steps) -> None:
        folder = tmp_path_factory.mktemp('tampered')
        given_ = Settings(data_dir=folder, database_url='', secret='x' * 40, _env_file=None)  # type: ignore[call-arg]
        shutil.copy(sqlite_template, given_.sqlite_path)

        async def work() -> None:
            async with opened(given_):
                await _unprotect()
                await _interleave(steps)

        asyncio.run(work())
        shutil.rmtree(folder)

    return done


async def _interleave(steps) -> None:
    partner = await Partner.create(name='Contoso', slug='contoso')
    ana = await PortalUser.create(partner=partner, name='Ana', email='a@b.example', role=PortalRole.ADMINISTRATOR)
    touched: set[str] = set()
    for n, (verb, which, *more) in enumerate(steps):
        customer_id = which or None
        if verb == 'add':
            await HistoryEvent.add(partner.id, 'x.y', f'{n}', customer_id=customer_id)
            continue
        if verb == 'add_many':
            await _write([Entry(partner.id, customer_id, 'x.y', START, f'{n}.{each}') for each in range(3)])
            continue
        found = await HistoryEvent.all().order_by('id')
        if not found:
            continue
        event = found[which % len(found)]
        if verb == 'erase':
            if event.chain not in touched and await event.text() and event.kind != 'history.erased':
                await HistoryEvent.erase(event.id, partner_id=partner.id, because='asked', by=ana)
            continue
        if verb == 'silence' and not await event.text():
            continue  # nothing is left to take away
        touched.add(event.chain)
        if verb == 'tamper':
            value = {'actor_id': '4711', 'sequence': '4711', 'partner_id': '4711'}.get(more[0], "'tampered'")
            if verb == 'tamper' and more[0] == 'sequence':
                value = str(4711 + n)
            await _run(f'UPDATE history_event SET {more[0]} = {value} WHERE id = {event.id}')
        elif verb == 'remove':
            await _run(f'DELETE FROM history_text WHERE event_id = {event.id}')
            await _run(f'DELETE FROM history_event WHERE id = {event.id}')
        else:
            await _run(f'DELETE FROM history_text WHERE event_id = {event.id}')
    assert {finding.chain for finding in await verify()} == touched


async def test_a_transaction_of_tortoise_alone_will_do(db):
    async with in_transaction('default'):
        await HistoryEvent.add(1, 'x.y', 'one', customer_id=5)
    assert await verify() == []
