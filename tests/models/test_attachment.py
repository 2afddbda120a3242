import asyncio
import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models import Attachment, AttachmentKind, AttachmentState, Customer, HistoryEvent, PortalRole, events
from models import attachment_files as files
from models.attachment import CUT_SHORT, AlreadyThere, NotNow, TooMany
from models.attachment_files import FileType, clean_name, type_of
from models.rights import RIGHTS, Refused
from settings import settings


async def _customer(northwind, code: str = 'A1') -> Customer:
    return await Customer.add(northwind.partner, name='Acme', account_code=code)


def _partial(data: bytes) -> files.Partial:
    partial = files.Partial(files.originals())
    partial.write(data)
    partial.close()
    return partial


async def _add(customer: Customer, by, data: bytes = b'hello', name: str = 'a.txt', **more) -> Attachment:
    partial = _partial(data)
    try:
        return await Attachment.add(
            customer, name=name, path=partial.path, size=partial.size, sha256=partial.sha256, by=by, **more
        )
    finally:
        partial.drop()


async def _kinds(customer: Customer) -> list[str]:
    """The kinds of what the history says of attachments."""
    found = await HistoryEvent.filter(customer_id=customer.id, kind__startswith='attachment.').order_by('id')
    return [each.kind for each in found]


def _all_files() -> list[Path]:
    return [*files.originals().iterdir(), *files.pdfs().iterdir()]


@pytest.fixture
def touched() -> list[tuple[int, dict[int, frozenset[str]]]]:
    heard: list[tuple[int, dict[int, frozenset[str]]]] = []

    def hear(partner_id: int, parts: dict[int, frozenset[str]]) -> None:
        if any('attachments' in each for each in parts.values()):
            heard.append((partner_id, parts))

    events.CUSTOMER_TOUCHED.subscribe(hear)
    return heard


# -- adding -----------------------------------------------------------------------------------------------------------


async def test_an_upload_is_kept_under_a_random_name_and_waits(db, northwind, touched):
    customer = await _customer(northwind)
    added = await _add(customer, northwind.ana, name='../../etc/order\x00.pdf', kind=AttachmentKind.ORDER)
    assert (added.name, added.state, added.kind) == ('order .pdf', AttachmentState.WAITING, AttachmentKind.ORDER)
    assert len(added.stored) == 32
    assert int(added.stored, 16) >= 0
    assert added.original.read_bytes() == b'hello'
    assert added.original.stat().st_mode & 0o777 == 0o600
    for folder in (added.original.parent, added.pdf.parent, added.pdf.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert await _kinds(customer) == ['attachment.added']
    assert touched == [(northwind.partner.id, {customer.id: frozenset({'attachments'})})]
    assert _all_files() == [added.original]


@pytest.mark.parametrize('role', list(PortalRole))
async def test_who_may_add_and_who_may_delete_an_original_is_the_tables(sqlite_db, northwind, role):
    customer = await _customer(northwind)
    northwind.tom.role = role
    if role in RIGHTS['attachment.add'].roles:
        await _add(customer, northwind.tom)
    else:
        with pytest.raises(Refused):
            await _add(customer, northwind.tom)
        assert not _all_files()
    made = await _add(customer, northwind.ana, b'another')
    await made.begin()
    await made.fail('No.')
    if role in RIGHTS['attachment.delete_original'].roles:
        await made.delete_original(northwind.tom)
    else:
        with pytest.raises(Refused):
            await made.delete_original(northwind.tom)
        assert made.original.exists()


async def test_the_same_file_is_there_once_for_each_customer(db, northwind):
    customer, other = await _customer(northwind), await _customer(northwind, 'B1')
    first = await _add(customer, northwind.ana)
    with pytest.raises(AlreadyThere) as found:
        await _add(customer, northwind.ana, name='b.txt')
    assert found.value.attachment.id == first.id
    assert '“a.txt”' in str(found.value)
    await _add(other, northwind.ana)
    assert len(_all_files()) == 2


async def test_of_two_same_uploads_at_the_same_moment_one_is_taken(db, northwind):
    customer = await _customer(northwind)
    came = await asyncio.gather(*(_add(customer, northwind.ana) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in came) == ['AlreadyThere'] * 4 + ['Attachment']
    assert await Attachment.all().count() == 1
    assert len(_all_files()) == 1


async def test_there_is_a_most_of_attachments_at_the_same_moment_too(db, northwind, monkeypatch):
    monkeypatch.setenv('PORTAL_ATTACHMENTS_PER_CUSTOMER', '2')
    settings.cache_clear()
    customer = await _customer(northwind)
    tries = [_add(customer, northwind.ana, b'%d' % n) for n in range(5)]
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, TooMany) for each in came) == 3
    assert len(_all_files()) == 2


async def test_what_failed_is_tried_again_by_the_same_upload(db, northwind):
    customer = await _customer(northwind)
    first = await _add(customer, northwind.ana)
    await first.begin()
    await first.fail('No.')
    await first.delete_original(northwind.ana)
    again = await _add(customer, northwind.ana, name='other.txt')
    stored = await Attachment.get(id=first.id)
    assert (again.id, stored.state, stored.reason) == (first.id, AttachmentState.WAITING, '')
    assert (stored.name, stored.original_deleted_at, stored.has_original) == ('a.txt', None, True)
    assert stored.original.read_bytes() == b'hello'
    assert (await _kinds(customer))[-1] == 'attachment.added'
    assert len(_all_files()) == 1


async def test_what_is_not_committed_leaves_no_file(db, northwind, monkeypatch):
    customer = await _customer(northwind)

    async def fails(*_args, **_more):
        raise OSError('the disk is full')

    monkeypatch.setattr(HistoryEvent, 'add', fails)
    with pytest.raises(OSError, match='the disk is full'):
        await _add(customer, northwind.ana)
    with pytest.raises(OSError, match='the disk is full'):
        await Attachment.add_made(customer, kind=AttachmentKind.ORDER, name='o', pdf=b'%PDF-1.7', by=northwind.ana)
    assert not await Attachment.all().exists()
    assert not _all_files()


async def test_what_the_portal_made_can_be_opened_at_once_and_has_no_original(db, northwind):
    customer = await _customer(northwind)
    given = {'kind': AttachmentKind.ORDER, 'name': 'Order 1', 'pdf': b'%PDF-1.7 made'}
    made = await Attachment.add_made(customer, by=None, **given)
    assert (made.state, made.pdf.read_bytes()) == (AttachmentState.READY, given['pdf'])
    assert made.pdf.stat().st_mode & 0o777 == 0o600
    assert not made.has_original
    with pytest.raises(NotNow):
        await made.delete_original(northwind.ana)
    with pytest.raises(AlreadyThere):
        await Attachment.add_made(customer, by=northwind.ana, **given)
    assert await _kinds(customer) == ['attachment.added']
    assert _all_files() == [made.pdf]


# -- the way of a row -------------------------------------------------------------------------------------------------


async def test_a_row_is_claimed_once_and_finished_by_whoever_claimed_it(db, northwind, touched):
    customer = await _customer(northwind)
    added = await _add(customer, northwind.ana)
    one, two = await Attachment.get(id=added.id), await Attachment.get(id=added.id)
    assert sorted([await one.begin(), await two.begin()]) == [False, True]
    mine, other = (one, two) if one.state == AttachmentState.WORKING else (two, one)
    assert not await other.finish(1, 1)
    assert await mine.finish(3, 4567)
    stored = await Attachment.get(id=added.id)
    assert (stored.state, stored.pages, stored.pdf_size) == (AttachmentState.READY, 3, 4567)
    assert stored.done_at is not None
    assert not await mine.fail('Too late.')
    assert await _kinds(customer) == ['attachment.added', 'attachment.converted']
    assert len(touched) == 3


async def test_what_was_taken_back_and_begun_again_is_anothers(db, northwind):
    added = await _add(await _customer(northwind), northwind.ana)
    await added.begin()
    assert await Attachment.take_back(datetime.now(UTC) + timedelta(seconds=1)) == 1
    again = await Attachment.get(id=added.id)
    assert await again.begin()
    assert not await added.finish(1, 1)
    assert await again.finish(1, 1)


async def test_what_is_cut_short_is_tried_three_times(db, northwind):
    customer = await _customer(northwind)
    added = await _add(customer, northwind.ana)
    for said in CUT_SHORT:
        await (await Attachment.get(id=added.id)).begin()
        assert await Attachment.take_back(datetime.now(UTC) - timedelta(minutes=1)) == 0  # not long enough ago
        assert await Attachment.take_back(datetime.now(UTC) + timedelta(seconds=1)) == 1
        stored = await Attachment.get(id=added.id)
        assert (stored.state, stored.reason) == (AttachmentState.WAITING, said)
    await stored.begin()
    assert await Attachment.take_back(datetime.now(UTC) + timedelta(seconds=1)) == 1
    stored = await Attachment.get(id=added.id)
    assert stored.state == AttachmentState.FAILED
    assert 'three times' in stored.reason
    assert await _kinds(customer) == ['attachment.added', 'attachment.rejected']


async def test_an_original_is_deleted_once_and_only_when_it_is_not_needed(db, northwind):
    customer = await _customer(northwind)
    added = await _add(customer, northwind.ana)
    for _ in range(2):
        with pytest.raises(NotNow, match='not made yet'):
            await added.delete_original(northwind.ana)
        await added.begin()
    await added.finish(1, 10)
    assert added.has_original
    await added.delete_original(northwind.ana)
    assert not added.original.exists()
    assert not (await Attachment.get(id=added.id)).has_original
    with pytest.raises(NotNow, match='no original'):
        await added.delete_original(northwind.ana)
    assert (await _kinds(customer))[-1] == 'attachment.original_deleted'


async def test_the_list_is_newest_first_and_holds_what_a_page_shows(db, northwind):
    customer = await _customer(northwind)
    first = await _add(customer, northwind.ana, kind=AttachmentKind.ADDENDUM)
    await first.begin()
    await first.finish(2, 99)
    second = await _add(customer, northwind.ana, b'two', name='two.txt')
    await _add(await _customer(northwind, 'B1'), northwind.ana)
    rows = await Attachment.list_of(customer.id)
    assert [row['id'] for row in rows] == [second.id, first.id]
    assert datetime.fromisoformat(rows[1].pop('uploaded_at')) == first.uploaded_at
    assert rows[1] == {
        'id': first.id, 'kind': 'addendum', 'kind_title': 'Addendum', 'name': 'a.txt', 'size': 5, 'state': 'ready',
        'reason': '', 'pages': 2, 'pdf_size': 99, 'uploaded_by': 'Ana', 'has_original': True,
    }  # fmt: skip


async def test_a_database_without_attachments_says_nothing_about_the_files(db, northwind):
    assert await Attachment.unknown(['a' * 32]) == set()
    added = await _add(await _customer(northwind), northwind.ana)
    assert await Attachment.unknown(['a' * 32, added.stored]) == {'a' * 32}


def test_only_old_files_can_have_been_left_behind(test_settings):
    partial, kept = _partial(b'1'), files.originals() / 'b'
    kept.write_bytes(b'2')
    young = files.pdfs() / 'b.pdf'
    young.write_bytes(b'3')
    for path in (partial.path, kept):
        os.utime(path, (time.time() - 4000,) * 2)
    assert files.candidates() == {'': [partial.path], 'b': [kept]}


def test_a_file_in_writing_knows_its_size_and_its_hash(test_settings):
    partial = _partial(b'abc')
    assert (partial.size, partial.sha256) == (3, hashlib.sha256(b'abc').hexdigest())
    partial.drop()
    partial.drop()
    assert not partial.path.exists()


# -- what a file is and what it is called -----------------------------------------------------------------------------

TYPES = [
    (b'%PDF-1.4\n', FileType.PDF), (b'\xef\xbb\xbf\r\n%PDF-1.4', FileType.PDF),
    (b'\x89PNG\r\n\x1a\n....', FileType.PNG), (b'\xff\xd8\xff\xe0', FileType.JPEG),
    (b'II*\0....', FileType.TIFF), (b'MM\0*....', FileType.TIFF), (b'RIFF....WEBPVP8 ', FileType.WEBP),
    ('Grüße\n\tλ\f'.encode(), FileType.TEXT), ('Grüße'.encode('utf-8-sig'), FileType.TEXT),
    ('Grüße'.encode('utf-16'), FileType.TEXT), (b'\xfe\xff\0a', FileType.TEXT),
    (b'a' * (1 << 20) + 'ü'.encode() * (1 << 20), FileType.TEXT),  # a letter over the edge of a portion
    (b'', None), (b'\0', None), (b'text\x1b[31m', None), (b'text\x7f', None), ('\x85'.encode(), None),
    ('Grüße'.encode('latin-1'), None), ('Grüße'.encode('utf-16-le'), None), (b'a' * (1 << 20) + b'\xc3', None),
    (b'PK\x03\x04....', None), (b'MZ\x90\0', None), (b'GIF89a', None), (b'BM....\0', None), (b'\x7fELF', None),
    (b'RIFF\0\0\0\0WAVEfmt ', None), (b'<!DOCTYPE html><p>', None), (b'\n <HTML>', None), (b'<svg xmlns=""/>', None),
    (b'<?xml version="1.0"?>', None), (b'{\\rtf1 x}', None), (b'%!PS-Adobe', None), (b'\xff\xfea', None),
]  # fmt: skip


@pytest.mark.parametrize(('data', 'expected'), TYPES)
def test_the_type_is_found_in_the_content(tmp_path, data, expected):
    path = tmp_path / 'called.pdf'
    path.write_bytes(data)
    assert type_of(path) is expected


NAMES = [
    ('order.pdf', 'order.pdf'), ('../../etc/passwd', 'passwd'), ('C:\\fakepath\\scan.png', 'scan.png'),
    ('a\x00b\r\nc\x1b.pdf', 'a b c .pdf'), ('evil\u202egpj.exe', 'evil gpj.exe'), ('..', 'document'),
    ('', 'document'), (' . ', 'document'), ('a/', 'document'), ('.hidden', 'hidden'), ('Zoe\u0308.pdf', 'Zoë.pdf'),
    ('x' * 300 + '.pdf', 'x' * 196 + '.pdf'), ('y' * 300, 'y' * 200), ('漢字 – “1”.pdf', '漢字 – “1”.pdf'),
    ('\ud800.pdf', 'pdf'), ('\u2066a\u2069', 'a'),
]  # fmt: skip


@pytest.mark.parametrize(('given', 'shown'), NAMES)
def test_a_name_is_made_fit_to_be_shown(given, shown):
    assert clean_name(given) == shown
