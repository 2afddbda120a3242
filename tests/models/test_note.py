import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Customer, HistoryEvent, HistoryText, Note, NoteVersion, Partner, PortalRole, PortalUser, events
from models.events import transaction
from models.rights import Refused

TEXT = 'Zwei Zeilen:\n\n  – مرحبا 🙂'


async def _customer(partner) -> Customer:
    return await Customer.add(partner, name='A', account_code=f'A{await Customer.all().count()}')


async def _colleague(partner, role: PortalRole, name: str = 'Uma') -> PortalUser:
    return await PortalUser.create(partner=partner, name=name, email=f'{name}@{role.value}.example', role=role)


def _listen() -> list[tuple[int, dict]]:
    heard: list[tuple[int, dict]] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda partner_id, parts: heard.append((partner_id, parts)))
    return heard


async def test_a_note_is_stored_and_told_and_its_text_is_not_in_the_history(db, northwind):
    customer = await _customer(northwind.partner)
    heard = _listen()
    note = await Note.add(customer, f'\n \n{TEXT}\n\n', by=northwind.tom)
    stored = await Note.get(id=note.id)
    assert (stored.body, stored.version, stored.author, stored.author_id) == (TEXT, 1, 'Tom', northwind.tom.id)
    assert (northwind.partner.id, {customer.id: frozenset({'notes'})}) in heard
    entry = await HistoryEvent.get(kind='note.added')
    text = await HistoryText.get(event_id=entry.id)
    assert (entry.customer_id, text.actor, text.facts) == (customer.id, 'Tom', {'note': note.id})
    assert 'Zeilen' not in text.summary + text.data


async def test_an_edited_note_keeps_what_it_said(db, northwind):
    customer = await _customer(northwind.partner)
    note = await Note.add(customer, 'one', by=northwind.tom)
    heard = _listen()
    await note.edit('two', by=northwind.tom, seen=1)
    await note.edit('three', by=northwind.ana, seen=2)
    assert (note.body, note.version, note.edited_by) == ('three', 3, 'Ana')
    listed = (await Note.list_of(customer.id))[0]
    assert (listed['body'], listed['version'], listed['author'], listed['edited_by']) == ('three', 3, 'Tom', 'Ana')
    assert listed['created_at'] == note.created_at.isoformat() < listed['edited_at']
    versions = await Note.versions_of(note.id)
    assert [(v['version'], v['body'], v['by']) for v in versions] == [(2, 'two', 'Tom'), (1, 'one', 'Tom')]
    assert versions[1]['at'] == listed['created_at']
    assert await HistoryEvent.filter(kind='note.edited').count() == 2
    assert heard.count((northwind.partner.id, {customer.id: frozenset({'notes'})})) == 2


async def test_the_second_of_two_editors_is_told_what_the_note_says_now(db, northwind):
    note = await Note.add(await _customer(northwind.partner), 'one', by=northwind.tom)
    other = await Note.get(id=note.id)
    await note.edit('of Tom', by=northwind.tom, seen=1)
    heard = _listen()
    with pytest.raises(Note.EditedMeanwhile, match='Tom has edited') as told:
        await other.edit('of Ana', by=northwind.ana, seen=1)
    assert (told.value.note.body, told.value.note.version) == ('of Tom', 2)
    assert (await Note.get(id=note.id)).body == 'of Tom'
    assert await NoteVersion.all().count() == 1
    assert heard == []
    await other.edit('of both', by=northwind.ana, seen=2)
    assert (await Note.get(id=note.id)).version == 3


async def test_of_several_at_once_one_wins_and_nothing_is_lost(db, northwind):
    note = await Note.add(await _customer(northwind.partner), 'one', by=northwind.ana)

    async def edit(n: int) -> bool:
        try:
            await (await Note.get(id=note.id)).edit(f'text {n}', by=northwind.ana, seen=1)
        except Note.EditedMeanwhile:
            return False
        return True

    assert sum(await asyncio.gather(*(edit(n) for n in range(5)))) == 1
    assert (await Note.get(id=note.id)).version == 2
    assert [version.body for version in await NoteVersion.all()] == ['one']
    assert await HistoryEvent.filter(kind='note.edited').count() == 1


async def test_an_edit_that_changes_nothing_is_none(db, northwind):
    note = await Note.add(await _customer(northwind.partner), 'one', by=northwind.ana)
    heard = _listen()
    await note.edit('one\r\n', by=northwind.ana, seen=1)
    assert (await Note.get(id=note.id)).version == 1
    assert heard == []


async def test_who_may_write_and_who_may_edit_whose_note(db, northwind):
    customer = await _customer(northwind.partner)
    for role in PortalRole:
        writer = await _colleague(northwind.partner, role)
        if role == PortalRole.READ_ONLY:
            with pytest.raises(Refused):
                await Note.add(customer, 'x', by=writer)
            continue
        note = await Note.add(customer, 'x', by=writer)
        await note.edit('y', by=writer, seen=1)
        for other in PortalRole:
            person = await _colleague(northwind.partner, other, f'to-{role.value}')
            if other == PortalRole.ADMINISTRATOR:
                await note.edit('z', by=person, seen=2)
            else:
                with pytest.raises(Refused):
                    await note.edit('w', by=person, seen=3)
    assert {note.body for note in await Note.all()} == {'z'}


@pytest.mark.parametrize(
    ('body', 'stored'),
    [
        ('a\r\nb\rc\u2028d', 'a\nb\nc\nd'), ('\n\n  a\n', '  a'), ('a\x00\x07b\tc\x1b[0m', 'ab\tc[0m'),
        ('👩‍👩‍👧 \u202bעברית\u202c', '👩‍👩‍👧 \u202bעברית\u202c'), ('half \ud83d', 'half'), ('<b>&amp;', '<b>&amp;'),
        ('x' * 100_000, 'x' * 100_000),
    ],
)  # fmt: skip
async def test_a_note_is_plain_text_with_its_lines(db, northwind, body, stored):
    note = await Note.add(await _customer(northwind.partner), body, by=northwind.ana)
    assert (await Note.get(id=note.id)).body == stored


@pytest.mark.parametrize('body', ['', ' \n\t ', '\x00\x1b', '\u200b\u200f'])
def test_a_note_that_says_nothing_is_refused(body):
    with pytest.raises(Note.Invalid, match=r'^is empty$') as refused:
        Note.clean(body)
    assert refused.value.field == 'body'


def test_a_note_that_is_too_long_is_told_by_how_much():
    with pytest.raises(Note.Invalid, match=r'^is longer than 100,000 characters \(it has 100,312\)$'):
        Note.clean('🙂' * 100_312)


@given(st.text(max_size=200))
def test_cleaning_a_second_time_changes_nothing(body):
    try:
        text = Note.clean(body)
    except Note.Invalid:
        return
    assert Note.clean(text) == text
    text.encode()
    assert '\r' not in text
    assert '\x00' not in text


async def test_notes_are_listed_the_newest_first_and_in_pages(db, northwind):
    customer, other = await _customer(northwind.partner), await _customer(northwind.partner)
    for n in range(5):
        await Note.add(customer, f'note {n}', by=northwind.ana)
        await Note.add(other, f'other {n}', by=northwind.ana)
    first = await Note.list_of(customer.id, limit=3)
    rest = await Note.list_of(customer.id, limit=3, before_id=first[-1]['id'])
    assert [row['body'] for row in (*first, *rest)] == [f'note {n}' for n in (4, 3, 2, 1, 0)]
    assert await Note.count_of(customer.id) == 5
    assert first[0]['edited_at'] is None


async def test_a_note_that_was_rolled_back_is_told_to_nobody(db, northwind):
    customer = await _customer(northwind.partner)
    heard = _listen()

    async def add_and_fail() -> None:
        async with transaction():
            await Note.add(customer, 'x', by=northwind.ana)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await add_and_fail()
    assert heard == []
    assert await Note.count_of(customer.id) == 0


_edits = st.lists(st.tuples(st.integers(-1, 1), st.sampled_from(['a', 'b', 'c', 'd', ''])), max_size=8)


@given(edits=_edits)
@settings(max_examples=25)
async def test_whatever_is_edited_the_versions_are_what_it_said_one_after_the_other(sqlite_db, make_northwind, edits):
    await _walk(make_northwind, edits)


@given(edits=_edits)
@settings(max_examples=10)
@pytest.mark.postgres
async def test_versions_are_what_it_said_on_postgresql_too(postgres_db, make_northwind, edits):
    await _walk(make_northwind, edits)


async def _walk(make_northwind, edits) -> None:
    partner = await Partner.first() or (await make_northwind()).partner
    ana = await PortalUser.get(name='Ana')
    note = await Note.add(await _customer(partner), 'first', by=ana)
    said = ['first']
    for off, body in edits:
        seen = len(said) + off
        if not body:
            with pytest.raises(Note.Invalid):
                await note.edit(body, by=ana, seen=seen)
        elif off:
            with pytest.raises(Note.EditedMeanwhile):
                await note.edit(body, by=ana, seen=seen)
        else:
            await note.edit(body, by=ana, seen=seen)
            said += [body] if body != said[-1] else []
    stored = await Note.get(id=note.id)
    assert (stored.body, stored.version) == (said[-1], len(said))
    before = await Note.versions_of(note.id)
    assert [(v['version'], v['body']) for v in reversed(before)] == list(enumerate(said[:-1], 1))
