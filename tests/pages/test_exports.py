import asyncio
import csv
import io
import re
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from components import export
from components.export import PORTION, as_csv, as_xlsx, defused
from components.live_table import TABLES, Asked
from models import (
    ConsoleRole,
    Customer,
    CustomerAccess,
    CustomerTag,
    DelegatedAccess,
    Health,
    HistoryEvent,
    Listing,
    PortalRole,
    PortalUser,
    RfiState,
)
from models.customer_import import _DEFUSED, import_customers
from models.rights import may

BASE = '/api/ui/tables/complete/export'
HEADINGS = [
    'Customer', 'Licences', 'Account type', 'Products', 'Inbound email queue', 'Outbound email queue',
    'Journaling queue', 'Journaling connector', 'Active Directory connector', 'Your role', 'Admin Console',
    'Worst signal', 'Account code', 'Domain', 'Contract since', 'Tags',
]  # fmt: skip


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, with nothing else in it."""
    folder = tmp_path / 'temporary'
    folder.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(folder))
    monkeypatch.setenv('TMPDIR', str(folder))  # for the process that makes the Excel file
    return folder


def _csv(answer: Any) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode('utf-8-sig'))))


def _xlsx(content: bytes) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


async def _add(portal: Any, name: str, **facts: Any) -> Customer:
    return await portal.add(portal.northwind.partner, name, listing=Listing.COMPLETE, **facts)


async def test_both_files_hold_every_column_as_a_person_would_write_it(portal, temporary):
    emile = await _add(portal, 'Émile’s, “Bakery”', seats=1234, domain='emile.example', account_code='EMILE1')
    await Customer.filter(id=emile.id).update(
        inbound_queue=Health.BAD, worst=Health.BAD, products_in_short='SEC, ARC', console_url='https://c.example/1',
        contract_start=date(2025, 1, 31),
    )  # fmt: skip
    await CustomerTag.change(emile, ['old', 'gold'], by=portal.northwind.ana)
    await DelegatedAccess.create(
        partner=portal.northwind.partner, user=portal.northwind.ana, role=ConsoleRole.PARTNER_ADMINISTRATOR
    )
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get(f'{BASE}.csv')
    assert answer.content.startswith(b'\xef\xbb\xbf')
    assert answer.headers['content-type'] == 'text/csv; charset=utf-8'
    assert 'customers-complete-' in answer.headers['content-disposition']
    assert 'no-store' in answer.headers['cache-control']
    none = ['Not configured'] * 4
    expected = [
        'Émile’s, “Bakery”', '1234', 'Standard', 'SEC, ARC', 'Problem', *none, 'Partner Administrator', 'Yes',
        'Problem', 'EMILE1', 'emile.example', '2025-01-31', 'gold; old',
    ]  # fmt: skip
    assert _csv(answer) == [HEADINGS, expected]
    answer = await portal.http.get(f'{BASE}.xlsx')
    assert answer.status_code == 200
    assert '.xlsx"' in answer.headers['content-disposition']
    headings, row = _xlsx(answer.content)
    assert headings == HEADINGS
    assert row == [expected[0], 1234, *expected[2:]]
    assert not list(temporary.iterdir())


@pytest.mark.parametrize('key', ['in-progress', 'waiting'])
async def test_the_other_lists_can_be_exported_too(portal, temporary, key):
    rfi = RfiState.REQUESTED if key == 'waiting' else RfiState.SUBMITTED
    await portal.add(portal.northwind.partner, 'Acme', rfi=rfi, seats=7)
    await portal.sign_in(portal.northwind.ana)
    lines = _csv(await portal.http.get(f'/api/ui/tables/{key}/export.csv'))
    cells = dict(zip(*lines, strict=True))
    assert (cells['Customer'], cells['RFI'], cells['Your role']) == ('Acme', 'RFI incomplete', 'None')
    if key == 'waiting':
        assert re.fullmatch(r'\d{4}-\d\d-\d\d \d\d:\d\d', cells['In this step since'])
    sheet = _xlsx((await portal.http.get(f'/api/ui/tables/{key}/export.xlsx')).content)
    assert [['' if cell is None else str(cell) for cell in line] for line in sheet] == lines


async def test_what_is_exported_is_what_is_listed_filtered_and_sorted(portal):
    for name, seats in (('Best Bakery', 5), ('Alpha Bakery', 50), ('Bake Off', 500), ('Cars', 5000)):
        await _add(portal, name, seats=seats)
    await portal.sign_in(portal.northwind.ana)
    asked = {'q': 'bake', 'sort': 'seats', 'dir': 'desc'}
    expected = (({}, ['Bake Off', 'Alpha Bakery', 'Best Bakery']), ({'letter': 'b'}, ['Bake Off', 'Best Bakery']))
    for more, names in expected:
        lines = _csv(await portal.http.get(f'{BASE}.csv', params=asked | more))
        assert [line[0] for line in lines[1:]] == names
    sheet = _xlsx((await portal.http.get(f'{BASE}.xlsx', params=asked)).content)
    assert [line[0] for line in sheet[1:]] == ['Bake Off', 'Alpha Bakery', 'Best Bakery']


async def test_an_exported_list_can_be_imported_again(portal):
    """Where it came from it changes nothing, and elsewhere it makes the same customers."""
    partner, states = portal.northwind.partner, (RfiState.SUBMITTED, RfiState.ERROR, RfiState.NOT_APPLICABLE)
    for number, state in enumerate(states):
        added = await portal.add(
            partner, f'+Plus {number}', account_code=f'P{number}', rfi=state, account_type='nfr', seats=1500,
            domain='plus.example', products=['SEC', 'ARC'], contract_start=date(2025, 1, 31),
        )  # fmt: skip
        await CustomerTag.change(added, ['gold', 'old'], by=portal.northwind.ana)
    await portal.sign_in(portal.northwind.ana)
    file = (await portal.http.get('/api/ui/tables/in-progress/export.csv')).content
    again = await import_customers(partner, file)
    assert (again.unchanged, again.updated, again.refused) == (3, 0, [])
    there = await import_customers(portal.fabrikam.partner, file)
    # A form that is being checked is shown as incomplete; there it begins as requested.
    assert (there.added, there.refused) == (3, [])
    for made in await Customer.filter(partner_id=portal.fabrikam.partner.id).order_by('account_code'):
        assert (made.name, made.account_type, made.seats) == (f'+Plus {made.account_code[1]}', 'nfr', 1500)
        assert (made.domain, made.products_in_short) == ('plus.example', 'SEC, ARC')
        assert made.contract_start == date(2025, 1, 31)
        assert await CustomerTag.of(made.id) == ['gold', 'old']


async def test_an_empty_list_is_a_file_with_its_headings(portal):
    await portal.sign_in(portal.northwind.ana)
    assert _csv(await portal.http.get(f'{BASE}.csv')) == [HEADINGS]
    assert _xlsx((await portal.http.get(f'{BASE}.xlsx')).content) == [HEADINGS]


async def test_a_list_longer_than_one_portion_is_whole_and_in_order(portal):
    ana, partner = portal.northwind.ana, portal.northwind.partner
    first = await _add(portal, 'n00000')
    facts = dict(first)
    for name in ('id', 'name', 'name_key', 'account_code'):
        del facts[name]
    count = 2 * PORTION + 1
    await Customer.bulk_create(
        [Customer(name=f'n{n:05}', name_key=f'n{n:05}', account_code=f'N{n}', **facts) for n in range(1, count)]
    )
    await portal.sign_in(ana)
    lines = _csv(await portal.http.get(f'{BASE}.csv?dir=desc'))
    assert [line[0] for line in lines[1:]] == [f'n{n:05}' for n in reversed(range(count))]
    assert await Customer.filter(partner_id=partner.id).count() == count


FORMULAS = [
    '=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', "=cmd|' /C calc'!A0", '＝1+1', '＋1', '－1', '＠A1',
    '=HYPERLINK("https://evil.example")', ' =1+1',
]  # fmt: skip


@pytest.mark.parametrize('text', FORMULAS)
def test_a_text_that_could_be_a_formula_is_none(text):
    assert defused(text) == "'" + text


@pytest.mark.parametrize(('text', 'harmless'), [
    ('retail; =cmd()', "retail; '=cmd()"), ('a;-1;b', "a;'-1;b"), ('=1;@x', "'=1;'@x"), ('a; "+1', "a; \"'+1"),
])  # fmt: skip
def test_nor_is_it_one_where_semicolons_part_cells(text, harmless):
    assert defused(text) == harmless
    assert _DEFUSED.sub(r'\1', harmless) == text  # as it is read again


@pytest.mark.parametrize('value', ['a=1', '1-1', 0, -5, 1.5, "'=1", '–5', 'a; b', ';;'])
def test_what_is_no_formula_stays_as_it_is(value):
    assert defused(value) == value


async def test_no_text_is_a_formula_in_any_column_of_either_file(portal):
    for number, text in enumerate(FORMULAS):
        customer = await _add(portal, f'Customer {number}')
        await Customer.filter(id=customer.id).update(
            name=text, domain=text[:200], products_in_short=text, account_code=f'=A{number}'
        )
        await DelegatedAccess.create(
            partner=portal.northwind.partner, user=portal.northwind.ana, customer=customer, role=text
        )
    await portal.sign_in(portal.northwind.ana)
    lines = _csv(await portal.http.get(f'{BASE}.csv'))[1:]
    assert len(lines) == len(FORMULAS)
    assert {line[0] for line in lines} == {"'" + text for text in FORMULAS}
    for line in lines:
        assert not [cell for cell in line if cell.startswith(('=', '+', '-', '@', '\t', '\r', '\n'))]
    book = openpyxl.load_workbook(io.BytesIO((await portal.http.get(f'{BASE}.xlsx')).content))
    assert book.active is not None
    assert not [cell for row in book.active.iter_rows() for cell in row if cell.data_type == 'f' or cell.hyperlink]


async def test_a_name_stays_as_it_is_in_an_excel_file_where_no_text_is_a_formula(portal):
    for number, name in enumerate(names := ['+49 Trading', '-1 Below', '=Equals=', '@home'], 1):
        await _add(portal, name, account_code=f'N{number}')
    await portal.sign_in(portal.northwind.ana)
    found = {line[0] for line in _xlsx((await portal.http.get(f'{BASE}.xlsx')).content)[1:]}
    assert found == set(names)
    assert {line[0] for line in _csv(await portal.http.get(f'{BASE}.csv'))[1:]} == {"'" + name for name in names}


async def test_nobody_exports_what_they_may_not_see(portal):
    acme = await _add(portal, 'Acme')
    await _add(portal, 'Best')
    await PortalUser.filter(id=portal.northwind.tom.id).update(role=PortalRole.IMPLEMENTATION)
    await CustomerAccess.create(user=portal.northwind.tom, customer=acme, allowed=True)
    for who, names in ((portal.northwind.tom, ['Acme']), (portal.fabrikam.eve, [])):
        browser = await portal.signed_in(who)
        assert [line[0] for line in _csv(await browser.get(f'{BASE}.csv'))[1:]] == names
        assert [line[0] for line in _xlsx((await browser.get(f'{BASE}.xlsx')).content)[1:]] == names


@pytest.mark.parametrize('role', PortalRole)
async def test_only_those_with_the_right_export_and_are_offered_it(portal, temporary, role):
    await _add(portal, 'Acme')
    ana = portal.northwind.ana
    await PortalUser.filter(id=ana.id).update(role=role)
    ana.role = role
    await portal.sign_in(ana)
    status = 200 if may(ana, 'list.export') else 403
    for kind in ('csv', 'xlsx'):
        answer = await portal.http.get(f'{BASE}.{kind}')
        assert answer.status_code == status
        assert (b'Acme' in answer.content) == (kind == 'csv' and status == 200)
    assert await HistoryEvent.filter(kind='list.exported').count() == (2 if status == 200 else 0)
    await portal.user.open('/customers/complete')
    assert portal.config()['exports'] == (status == 200)


async def test_an_export_is_in_the_audit_with_its_filter_and_how_many_rows(portal, temporary):
    await _add(portal, 'Acme')
    await _add(portal, 'Best')
    await portal.sign_in(portal.northwind.ana)
    await portal.http.get(f'{BASE}.csv?q=acm')
    await portal.http.get(f'{BASE}.xlsx')
    first, second = await HistoryEvent.filter(kind='list.exported').order_by('id')
    assert (first.partner_id, first.customer_id, first.actor_id) == (
        portal.northwind.partner.id, None, portal.northwind.ana.id,
    )  # fmt: skip
    texts = [text for entry in (first, second) if (text := await entry.text())]
    assert [text.summary for text in texts] == [
        'The list “complete” was exported as CSV, 1 row – search acm',
        'The list “complete” was exported as Excel, 2 rows – all of it',
    ]
    assert [(text.facts['rows'], text.facts['filters']) for text in texts] == [(1, {'q': 'acm'}), (2, 'all')]


async def test_a_right_that_is_taken_away_meanwhile_counts(portal, monkeypatch):
    acme, best = await _add(portal, 'Acme'), await _add(portal, 'Best')
    monkeypatch.setattr(export, 'PORTION', 1)
    table, ana = TABLES['complete'], portal.northwind.ana
    lines = as_csv(table, ana, Asked(table, {}))
    heading, first = await anext(lines), await anext(lines)
    assert 'Acme' in first.decode()
    await CustomerAccess.create(user=ana, customer=best, allowed=False)
    assert b'Best' not in b''.join([part async for part in lines])
    assert heading
    assert acme


async def test_downloads_that_stand_still_hold_up_nobody_else(portal):
    await _add(portal, 'Acme')
    table, ana = TABLES['complete'], portal.northwind.ana
    standing = [as_csv(table, ana, Asked(table, {})) for _ in range(4)]
    async with asyncio.timeout(5):
        for lines in standing:
            await anext(lines)
        whole = b''.join([part async for part in as_csv(table, ana, Asked(table, {}))])
    assert b'Acme' in whole
    for lines in standing:
        await lines.aclose()


async def test_an_excel_file_that_cannot_be_made_leaves_nothing_behind(portal, temporary, monkeypatch, caplog):
    await portal.sign_in(portal.northwind.ana)
    monkeypatch.setattr(export.sys, 'executable', '/bin/false')
    answer = await portal.http.get(f'{BASE}.xlsx')
    assert answer.status_code == 500
    assert 'could not be made' in answer.json()['error']
    assert not list(temporary.iterdir())
    caplog.clear()  # that it is logged is right here; elsewhere an ERROR fails a page test


async def test_an_excel_file_that_nobody_waits_for_any_more_leaves_nothing_behind(portal, temporary, until):
    table = TABLES['complete']
    making = asyncio.ensure_future(as_xlsx(table, portal.northwind.ana, Asked(table, {})))
    await until(lambda: list(temporary.iterdir()))
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not list(temporary.iterdir())


async def test_an_excel_file_given_up_while_it_is_written_leaves_nothing_behind(portal, temporary, until, monkeypatch):
    """The writer has files of its own, which nobody would delete for it."""
    slow = temporary.parent / 'slow'
    slow.write_text('#!/bin/sh\ntouch "$(dirname "$4")/of-the-writer"\nexec sleep 60\n')
    slow.chmod(0o700)
    monkeypatch.setattr(export.sys, 'executable', str(slow))
    making = asyncio.ensure_future(as_xlsx(TABLES['complete'], portal.northwind.ana, Asked(TABLES['complete'], {})))
    await until(lambda: list(temporary.rglob('of-the-writer')))
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not list(temporary.iterdir())


async def test_the_template_for_importing_can_be_downloaded_by_who_is_signed_in(portal):
    assert (await portal.http.get('/api/ui/import-template.csv')).status_code == 401
    await portal.sign_in(portal.northwind.tom)
    answer = await portal.http.get('/api/ui/import-template.csv')
    assert answer.status_code == 200
    assert {'name', 'account_code'} <= set(_csv(answer)[0])
