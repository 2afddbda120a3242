import asyncio
import csv
import hashlib
import io
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    AccountType,
    ConnectStep,
    Customer,
    CustomerAccess,
    CustomerProduct,
    CustomerTag,
    HistoryEvent,
    HistoryText,
    Listing,
    Monitor,
    Partner,
    PortalRole,
    PortalUser,
    Rfi,
    RfiState,
    Sight,
    StepState,
    events,
)
from models import customer_import as module
from models.customer_import import TEMPLATE_CSV, ImportResult, Refusal, import_customers, preview_import
from models.product import next_renewal
from models.rights import Refused

HEADER = 'name,account_code,licences,account_type,domain,products,list,rfi,console_url\n'


def _counts(result: ImportResult) -> tuple[int, int, int, int]:
    return result.added, result.updated, result.unchanged, len(result.refused)


def _listen() -> list[tuple[str, object]]:
    heard: list[tuple[str, object]] = []
    events.CUSTOMERS_ADDED.subscribe(lambda changed: heard.append(('added', changed)))
    events.CUSTOMERS_CHANGED.subscribe(lambda changed: heard.append(('changed', changed)))
    events.MANY_CHANGED.subscribe(lambda partner_id: heard.append(('many', partner_id)))
    return heard


async def test_the_template_can_be_imported_as_it_is(db, northwind):
    result = await import_customers(northwind.partner, TEMPLATE_CSV)
    assert (_counts(result), result.refused, result.warnings) == ((2, 0, 0, 0), [], [])
    sons = await Customer.get(account_code='ESC001')
    assert (sons.name, sons.seats, sons.account_type) == ('Example, Sons & Co', 250, AccountType.EXPRESS)
    assert (sons.products_in_short, sons.listing) == ('SEC+ARC, IMP', Listing.COMPLETE)
    assert sons.console_url == 'https://console.example/ESC001'
    bakery = await Customer.get(account_code='EXB001')
    assert (bakery.listing, bakery.connect_status) == (Listing.IN_PROGRESS, 'Account configuration')


@pytest.mark.parametrize(
    ('products', 'rfi', 'listing'),
    [
        ([], 'not_applicable', 'in_progress'),
        (['SEC'], 'complete', 'in_progress'),
        (['ARC', 'DMARC'], 'submitted', 'in_progress'),
        (['SEC+ARC'], 'error', 'in_progress'),
        (['DLP'], 'requested', 'waiting'),
        ([], 'draft', 'waiting'),
        (['SEC'], 'not_applicable', 'complete'),
        (['SEC'], 'submitted', 'complete'),
    ],
)
async def test_an_imported_customer_is_what_adding_it_would_have_made(db, northwind, products, rfi, listing):
    added = await Customer.add(
        northwind.partner, name='Émile', account_code='A', seats=700, domain='a.example', products=products,
        rfi=RfiState(rfi), listing=Listing.COMPLETE if listing == 'complete' else Listing.IN_PROGRESS,
    )  # fmt: skip
    line = f'Émile,B,700,standard,a.example,{" ".join(products)},{listing},{rfi},\n'
    result = await import_customers(northwind.partner, HEADER + line)
    assert result.refused == []
    imported = await Customer.get(account_code='B')
    for model in (Customer, Rfi, ConnectStep, Monitor, CustomerProduct, HistoryEvent):
        of = 'id' if model is Customer else 'customer_id'
        wanted, found = [await _facts(model, of, customer.id) for customer in (added, imported)]
        assert found == wanted, model


async def _facts(model, of: str, customer_id: int) -> list[dict]:
    """The rows without what must differ, times told as whether there are any."""
    rows = []
    differ = {'id', 'customer_id', 'account_code', 'search_key', 'chain', 'hash', 'text_hash'}
    for row in await model.filter(**{of: customer_id}).order_by('id'):
        facts = {k: v for k, v in dict(row).items() if k not in differ}
        rows.append({k: 'some time' if isinstance(v, datetime) else v for k, v in facts.items()})
    return rows


async def test_a_line_without_a_word_on_the_rfi_is_listed_at_once(db, northwind):
    await import_customers(northwind.partner, 'name,account_code\nA,A\n')
    assert (await Customer.get(account_code='A')).listing == Listing.IN_PROGRESS
    assert (await Rfi.get()).state == RfiState.NOT_APPLICABLE


async def test_a_waiting_customer_has_a_requested_rfi(db, northwind):
    await import_customers(northwind.partner, 'name,account_code,list\nA,A,Waiting\n')
    assert (await Customer.get(account_code='A')).listing == Listing.WAITING
    assert (await Rfi.get()).state == RfiState.REQUESTED


@pytest.mark.parametrize(
    'content',
    [
        b'\xef\xbb\xbfName,Account Code,Licences\r\n\xc3\x89mile,E1,5\r\n',
        'NAME;ACCOUNT_CODE;LICENCES\nÉmile;E1;5',
        '\n\n name , Account-Code ,Licenses\n\n"Émile","E1","5"\n,,\n',
        'account code\tname\tseats\nE1\tÉmile\t5\n',
        'name,account_code,licences\rÉmile,E1,5\r',
        'name,account_code,licences,\nÉmile,E1,5,,,\n',
        b'\xef\xbb\xbfsep=;\r\nname;account_code;licences\r\n\xc3\x89mile;E1;5\r\n',
        'SEP=,\nname,account_code,licences\nÉmile,E1,5\n',
        '\n"sep=;";;\nname;account_code;licences\nÉmile;E1;5\n',
        'sep=|\nname|account_code|licences\nÉmile|E1|5\n',
        'sep=\t\nname\taccount_code\tlicences\nÉmile\tE1\t5\n',
    ],
)
async def test_files_of_many_programs_are_read(sqlite_db, northwind, content):
    result = await import_customers(northwind.partner, content)
    assert (_counts(result), result.refused) == ((1, 0, 0, 0), [])
    customer = await Customer.get()
    assert (customer.name, customer.account_code, customer.seats) == ('Émile', 'E1', 5)


@pytest.mark.parametrize(
    ('content', 'line', 'column', 'why'),
    [
        (b'', 1, '', 'empty'),
        ('\n\n', 1, '', 'empty'),
        ('name\nA\n', 1, 'account_code', 'no such column'),
        ('nonsense', 1, 'account_code', 'no such column'),
        ('sep=;', 1, '', 'empty'),
        ('sep=;\nname\nA\n', 2, 'account_code', 'no such column'),
        ('sep=;\nname;account_code\nA;', 3, 'account_code', 'empty'),
        ('name,account_code,NAME\nA,A,A', 1, 'name', 'twice'),
        ('name,account_code\nÉ,A'.encode('latin-1'), 2, '', 'not UTF-8'),
        ('name,account_code\nA,A'.encode('utf-16'), 1, '', 'UTF-16'),
        ('name,account_code\n"A,A', 2, '', 'cannot be read'),
        ('name,account_code\n"A"b,A', 2, '', 'cannot be read'),
        ('name,account_code\nA,A,A', 2, '', '3 cells'),
        ('name,account_code\nA,', 2, 'account_code', 'empty'),
        ('name,account_code\n,A', 2, 'name', 'no customer with this account code'),
        ('name,account_code\nA,a b', 2, 'account_code', 'space'),
        ('name,account_code\nA,A\n\nB,B\nC,A', 5, 'account_code', 'line 2'),
        ('name,account_code\n"A\nB",A\nC,A', 4, 'account_code', 'line 2'),
        ('name,account_code,licences\nA,A,many', 2, 'licences', 'whole number'),
        ('name,account_code,licences\nA,A,-1', 2, 'licences', 'between'),
        ('name,account_code,licences\nA,A,٣', 2, 'licences', 'whole number'),
        ('name,account_code,licences\nA,A,1_000', 2, 'licences', 'whole number'),
        ('name,account_code,domain\nA,A,-bad-.example', 2, 'domain', 'not a domain'),
        ('name,account_code,list,rfi\nA,A,complete,requested', 2, 'list', 'does not go with the RFI'),
        ('name,account_code,list,rfi\nA,A,complete,draft', 2, 'list', 'does not go with the RFI'),
        ('name,account_code\nA,dup\nB,DUP', 3, 'account_code', 'the same as in line 2, but for capitals'),
        ('name,account_code,account_type\nA,A,golden', 2, 'account_type', 'none of'),
        ('name,account_code,domain\nA,A,nodots', 2, 'domain', 'not a domain'),
        ('name,account_code,products\nA,A,SEC;NOPE', 2, 'products', '“NOPE” is not in the catalogue'),
        ('name,account_code,list\nA,A,nowhere', 2, 'list', 'none of'),
        ('name,account_code,rfi\nA,A,maybe', 2, 'rfi', 'none of'),
        ('name,account_code,list,rfi\nA,A,waiting,n/a', 2, 'list', 'does not go with the RFI'),
        ('name,account_code,list,rfi\nA,A,in progress,requested', 2, 'list', 'does not go with the RFI'),
        ('name,account_code,console_url\nA,A,javascript:alert(1)', 2, 'console_url', 'is not a whole address'),
        ('name,account_code,console_url\nA,A,http://console.example', 2, 'console_url', 'begins with https://'),
        ('name,account_code,contract_since\nA,A,02/01/2024', 2, 'contract_since', 'is not a day such as'),
        ('name,account_code,contract_since\nA,A,1.2.1899', 2, 'contract_since', 'between 1990 and'),
        ('name,account_code,tags\nA,A,' + ';'.join('abcdefghijk'), 2, 'tags', 'cannot have more than 10 entries'),
        ('name,account_code,console_url\nA,A,' + 'https://' + 'a' * 400, 2, 'console_url', 'longer'),
    ],
)
async def test_a_refused_line_is_told_by_number_column_and_reason(sqlite_db, northwind, content, line, column, why):
    result = await import_customers(northwind.partner, content)
    assert [(r.line, r.column) for r in result.refused] == [(line, column)]
    assert why in result.refused[0].why


async def test_all_that_is_wrong_with_a_line_is_told(sqlite_db, northwind):
    result = await import_customers(northwind.partner, HEADER + 'A,A,x,y,z,w,v,u,t\n')
    assert {r.column for r in result.refused} == {
        'licences', 'account_type', 'domain', 'products', 'list', 'rfi', 'console_url',
    }  # fmt: skip
    assert result.refused_lines == 1


async def test_a_contract_that_the_file_knows_says_when_its_products_renew(db, northwind):
    head = 'name,account_code,products,Contract since\n'
    await import_customers(northwind.partner, head + 'Ash,A,SEC;IMP,2024-02-29\nBeech,B,SEC,\n')
    ash, beech = await Customer.all().order_by('account_code')
    bought = CustomerProduct.all().order_by('id').values_list('customer_id', 'since', 'renews_on')
    leap, year = date(2024, 2, 29), date(2025, 2, 28)
    today = datetime.now(UTC).date()
    assert ash.contract_start == leap
    assert list(await bought) == [(ash.id, leap, year), (ash.id, leap, year), (beech.id, today, None)]
    again = head + 'Ash,A,SEC IMP,29.2.2024\nBeech,B,SEC SAT,1.3.2020\n'
    assert (await preview_import(northwind.partner, again)).changed[0].changes == [
        ('Contract since', '', '1 March 2020'), ('Products', 'SEC', 'SEC, SAT')
    ]  # fmt: skip
    assert _counts(await import_customers(northwind.partner, again)) == (0, 1, 1, 0)
    march = next_renewal(date(2020, 3, 1), today)
    assert [row[1:] for row in await bought if row[0] == beech.id] == [(today, march), (today, march)]
    text = await HistoryText.get(event_id=(await HistoryEvent.get(kind='customer.changed')).id)
    assert 'Contract since: nothing → 1 March 2020' in text.summary


async def test_good_lines_are_stored_beside_refused_ones(db, northwind):
    result = await import_customers(northwind.partner, 'name,account_code\nA,A\n,B\nC,C\n')
    assert _counts(result) == (2, 0, 0, 1)
    assert await Customer.all().count() == 2


async def test_all_or_nothing_stores_none_where_one_is_refused(db, northwind):
    heard = _listen()
    early = 'name,account_code,licences\nA,A,1\nB,B,x\n'
    late = 'name,account_code\nA,A\n,B\n'  # only the database knows that B is new
    for content in (early, late):
        result = await import_customers(northwind.partner, content, all_or_nothing=True)
        assert _counts(result) == (0, 0, 0, 1)
    assert await Customer.all().count() == 0
    assert await HistoryEvent.all().count() == 0
    assert heard == []
    result = await import_customers(northwind.partner, 'name,account_code\nA,A\nB,B\n', all_or_nothing=True)
    assert _counts(result) == (2, 0, 0, 0)
    assert [kind for kind, _ in heard] == ['added']


async def test_all_or_nothing_tells_every_refused_line_at_once(db, northwind, monkeypatch):
    monkeypatch.setattr(module, 'CHUNK', 2)  # each line that only the database can judge in a part of its own
    lines = ['A,A,1', ',B,2', 'C,C,x', 'D,D,4', ',E,5', 'F,F,6', ',G,7']
    for content, wrong in ((lines, [3, 4, 6, 8]), ([line for line in lines if 'x' not in line], [3, 5, 7])):
        text = '\n'.join(['name,account_code,licences', *content])
        result = await import_customers(northwind.partner, text, all_or_nothing=True)
        assert [refusal.line for refusal in result.refused] == wrong
        assert _counts(result) == (0, 0, 0, len(wrong))
    assert await Customer.all().count() == 0


async def test_refused_lines_are_told_in_the_order_of_the_file(db, northwind):
    result = await import_customers(northwind.partner, 'name,account_code,licences\n,A,1\nB,B,x\n,C,3\nD,D,y\n')
    assert [(refusal.line, refusal.column) for refusal in result.refused] == [
        (2, 'name'), (3, 'licences'), (4, 'name'), (5, 'licences'),
    ]  # fmt: skip


async def test_a_code_in_other_capitals_is_refused_and_the_same_one_updates(db, northwind, fabrikam):
    await Customer.add(northwind.partner, name='Old', account_code='Dup1')
    result = await import_customers(northwind.partner, 'name,account_code\nNew,DUP1\nOther,X\n')
    assert [(refusal.line, refusal.column) for refusal in result.refused] == [(2, 'account_code')]
    assert '“Dup1”' in result.refused[0].why
    assert _counts(await import_customers(northwind.partner, 'name,account_code\nNew,Dup1\n')) == (0, 1, 0, 0)
    assert _counts(await import_customers(fabrikam.partner, 'name,account_code\nTheirs,DUP1\n')) == (1, 0, 0, 0)


async def test_two_from_before_whose_codes_differ_by_capitals_are_still_updated(db, northwind):
    one = await Customer.add(northwind.partner, name='One', account_code='D1')
    await Customer.add(northwind.partner, name='Two', account_code='D2')
    await Customer.filter(id=one.id).update(account_code='d2')
    result = await import_customers(northwind.partner, 'name,account_code\nNew two,D2\n\n')
    assert _counts(result) == (0, 1, 0, 0)
    assert [c.name for c in await Customer.all().order_by('id')] == ['One', 'New two']


async def test_other_licences_change_what_is_reckoned_from_them(db, northwind):
    await import_customers(northwind.partner, 'name,account_code,licences,products\nA,A,250,SEC ARC\nB,B,250,SEC\n')
    customer = await Customer.get(account_code='A')
    by_hand = await Monitor.get(customer_id=customer.id, kind='outbound_queue')
    await Monitor.filter(id=by_hand.id).update(threshold=77)
    archive = await CustomerProduct.get(customer_id=customer.id, product__code='ARC')
    await CustomerProduct.filter(id=archive.id).update(quantity=10, since='2020-01-01')
    await import_customers(northwind.partner, 'account_code,licences,products\nA,2500,ARC SEC DMARC\n')
    thresholds = dict(await Monitor.filter(customer_id=customer.id).values_list('kind', 'threshold'))
    assert thresholds == {
        'inbound_queue': 1000, 'outbound_queue': 77, 'journal_queue': 10_000,
        'journal_connector': None, 'directory_connector': None,
    }  # fmt: skip
    quantities = await CustomerProduct.filter(customer_id=customer.id).values_list('product__code', 'quantity')
    assert dict(quantities) == {'SEC': 2500, 'ARC': 10, 'DMARC': 2500}
    assert str((await CustomerProduct.get(id=archive.id)).since) == '2020-01-01'
    other = await Monitor.get(customer__account_code='B', kind='inbound_queue')
    assert other.threshold == 100


async def test_a_live_customer_whose_form_never_came_back_may_stay_so(db, northwind):
    await Customer.add(northwind.partner, name='A', account_code='A', listing=Listing.COMPLETE)
    await Customer.add(northwind.partner, name='B', account_code='B')
    result = await import_customers(northwind.partner, 'account_code,list,name\nA,complete,New\nB,complete,New\n')
    assert _counts(result) == (0, 1, 0, 1)
    assert (result.refused[0].line, result.refused[0].column) == (3, 'list')


async def test_importing_again_changes_nothing(db, northwind):
    await import_customers(northwind.partner, TEMPLATE_CSV)
    history = await HistoryEvent.all().count()
    heard = _listen()
    assert _counts(await import_customers(northwind.partner, TEMPLATE_CSV)) == (0, 0, 2, 0)
    assert await HistoryEvent.all().count() == history
    assert heard == []


async def test_importing_again_updates_what_is_given_and_leaves_the_rest(db, northwind):
    await import_customers(northwind.partner, TEMPLATE_CSV)
    before = await Customer.get(account_code='EXB001')
    heard = _listen()
    result = await import_customers(
        northwind.partner,
        'account_code,name,licences,domain,products\nEXB001,Ñew Bakery,50,,ARC\nESC001,,,,\n',
        by=northwind.ana,
    )
    assert _counts(result) == (0, 1, 1, 0)
    after = await Customer.get(account_code='EXB001')
    assert (after.id, after.name, after.name_key, after.initial) == (before.id, 'Ñew Bakery', 'new bakery', 'n')
    assert (after.seats, after.domain, after.products_in_short) == (50, 'bakery.example', 'ARC')
    assert after.search_key == 'new bakery\nexb001\nbakery.example'
    assert (after.listing, after.connect_status, after.created_at) == (
        before.listing, before.connect_status, before.created_at,
    )  # fmt: skip
    bought = await CustomerProduct.filter(customer_id=after.id).select_related('product')
    assert [(each.product.code, each.quantity) for each in bought] == [('ARC', 50)]
    entry = await HistoryEvent.get(kind='customer.changed')
    text = await HistoryText.get(event_id=entry.id)
    assert text.actor == 'Ana'
    assert text.summary == ('Import – Name: Example Bakery → Ñew Bakery; Licences: 45 → 50; Products: SEC, DMARC → ARC')
    assert text.facts['before'] == {'name': 'Example Bakery', 'seats': '45', 'products_in_short': 'SEC, DMARC'}
    assert text.facts['after'] == {'name': 'Ñew Bakery', 'seats': '50', 'products_in_short': 'ARC'}
    assert heard == [
        (
            'changed',
            events.Changed(
                northwind.partner.id,
                {after.id: frozenset({'name', 'seats', 'products_in_short'})},
                frozenset({after.id}),
            ),
        )
    ]


async def test_importing_again_can_move_a_customer_between_the_lists(db, northwind):
    async def now_listed(line: str) -> Customer:
        result = await import_customers(northwind.partner, f'account_code,name,list,rfi\n{line}\n')
        assert (result.refused, result.added + result.updated) == ([], 1), line
        return await Customer.get(account_code='A')

    assert (await now_listed('A,A,waiting,')).listing == Listing.WAITING
    customer = await now_listed('A,,,complete')
    assert (customer.listing, customer.connect_status) == (Listing.IN_PROGRESS, 'Account configuration')
    assert (await ConnectStep.get(customer_id=customer.id, key='rfi')).state == StepState.COMPLETE
    customer = await now_listed('A,,complete,')
    assert (customer.listing, customer.connect_status) == (Listing.COMPLETE, 'Complete')
    assert customer.completed_at is not None
    customer = await now_listed('A,,in progress,')
    assert (customer.listing, customer.completed_at) == (Listing.IN_PROGRESS, None)


async def test_a_live_customer_brought_back_gets_its_steps(db, northwind):
    await import_customers(northwind.partner, 'account_code,name,list,products\nA,A,complete,ARC\n')
    assert await ConnectStep.all().count() == 0
    await import_customers(northwind.partner, 'account_code,list\nA,in_progress\n')
    keys = set(await ConnectStep.all().values_list('key', flat=True))
    assert 'journaling' in keys
    assert 'inbound_email' not in keys
    assert (await Customer.get()).connect_status == 'Account configuration'


async def test_a_list_that_does_not_follow_from_what_is_stored_is_refused(db, northwind):
    await import_customers(northwind.partner, 'account_code,name,rfi\nA,A,submitted\n')
    result = await import_customers(northwind.partner, 'account_code,list\nA,waiting\n')
    assert [(r.line, r.column) for r in result.refused] == [(2, 'list')]


async def test_another_msp_with_the_same_account_code_is_not_touched(db, northwind, fabrikam):
    await import_customers(fabrikam.partner, 'name,account_code\nTheirs,A\n')
    assert _counts(await import_customers(northwind.partner, 'name,account_code\nOurs,A\n')) == (1, 0, 0, 0)
    assert [c.name for c in await Customer.visible_to(fabrikam.eve)] == ['Theirs']
    assert [c.name for c in await Customer.visible_to(northwind.ana)] == ['Ours']


async def test_unknown_columns_are_named(sqlite_db, northwind):
    result = await import_customers(northwind.partner, 'name,account_code,Shoe size\nA,A,42\n')
    assert result.added == 1
    assert len(result.warnings) == 1
    assert 'Shoe size' in result.warnings[0]


async def test_many_customers_come_in_parts_and_are_told_as_many(db, northwind):
    heard = _listen()
    told: list[tuple[int, int]] = []
    lines = ''.join(f'Customer {n},C{n},{n},standard,c{n}.example,SEC DMARC,,,\n' for n in range(1000))
    started = datetime.now(UTC)
    result = await import_customers(northwind.partner, HEADER + lines, progress=lambda *done: told.append(done))
    took = (datetime.now(UTC) - started).total_seconds()
    assert _counts(result) == (1000, 0, 0, 0)
    assert heard == [('many', northwind.partner.id)] * 4
    assert [done for done, _ in told] == [251, 501, 751, 1001]
    assert await Monitor.all().count() == 5000
    assert took < 20  # a second or two where nothing else runs


async def test_a_few_customers_are_told_one_by_one(db, northwind):
    heard = _listen()
    await import_customers(northwind.partner, 'name,account_code\nA,A\nB,B\n')
    ids = frozenset(await Customer.all().values_list('id', flat=True))
    assert heard == [
        ('added', events.Changed(northwind.partner.id, dict.fromkeys(ids, frozenset({'name'})), ids)),  # type: ignore[arg-type]
    ]


async def test_a_huge_file_is_refused(sqlite_db, northwind, monkeypatch):
    monkeypatch.setattr(module, 'MAX_BYTES', 100)
    assert 'larger' in (await import_customers(northwind.partner, b'x' * 101)).refused[0].why
    monkeypatch.setattr(module, 'MAX_LINES', 3)
    assert 'more than 3 lines' in (await import_customers(northwind.partner, 'a\n' * 4)).refused[0].why


async def test_a_file_that_adds_what_somebody_else_just_added_updates_it(db, northwind, monkeypatch):
    known = module._Storing._known
    asked = []

    async def too_early(self, connection, codes, lock):
        """What was known a moment before the other one came."""
        asked.append(codes)
        return {} if len(asked) == 1 else await known(self, connection, codes, lock)

    await Customer.add(northwind.partner, name='Theirs', account_code='A')
    monkeypatch.setattr(module._Storing, '_known', too_early)
    result = await import_customers(northwind.partner, 'name,account_code\nOurs,A\nB,B\n')
    assert _counts(result) == (1, 1, 0, 0)
    assert (await Customer.get(account_code='A')).name == 'Ours'


cells = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ['', 'A', 'SEC+ARC', '=1+1', '"', ';', '\x00', '\ud800', '1e9', '½', '٣', 'n/a', 'complete', '%', "'"]
    ),
    st.text(min_size=200, max_size=400),
)


@given(table=st.lists(st.lists(cells, min_size=9, max_size=10), max_size=6), quoting=st.sampled_from([0, 1]))
@settings(max_examples=60)
async def test_odd_cells_are_stored_or_refused(sqlite_db, make_northwind, table, quoting):
    partner = await Partner.first() or (await make_northwind()).partner
    out = io.StringIO()
    csv.writer(out, quoting=quoting).writerows([HEADER.strip().split(','), *table])
    result = await import_customers(partner, out.getvalue())
    assert all(isinstance(refusal, Refusal) and refusal.line > 0 and refusal.why for refusal in result.refused)
    assert result.added + result.updated + result.unchanged + result.refused_lines <= len(table)


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200), st.text(max_size=100).map(HEADER.__add__)))
@settings(max_examples=60)
async def test_any_file_at_all_is_answered(sqlite_db, make_northwind, content):
    partner = await Partner.first() or (await make_northwind()).partner
    result = await import_customers(partner, content)
    assert isinstance(result, ImportResult)


# -- previews ---------------------------------------------------------------------------------------------------------

MIXED = HEADER + (
    'Acme Ltd,ACME1,70,,new.example,SEC+ARC,complete,,\n'  # changed
    'Best,BEST1,5,,,,,,\n'  # as it is
    'New,NEW1,9,express,new1.example,SEC; DMARC,,,\n'
    'Bad,BAD1,many,gold,,,,,\n'
    ',NONAME1,5,,,,,,\n'
    'Waits,WAIT1,5,,,,waiting,,\n'
)


async def _two(partner: Partner) -> None:
    acme = {'name': 'Acme', 'account_code': 'ACME1', 'seats': 50, 'domain': 'acme.example'}
    await Customer.add(partner, rfi=RfiState.NOT_APPLICABLE, products=['SEC'], **acme)
    await Customer.add(partner, rfi=RfiState.NOT_APPLICABLE, name='Best', account_code='BEST1', seats=5)


async def _everything() -> list[object]:
    counted = [
        await model.all().count() for model in (Customer, CustomerProduct, Rfi, Monitor, ConnectStep, HistoryEvent)
    ]
    return [*counted, *await Customer.all().order_by('id').values()]


async def test_a_preview_tells_what_would_happen_and_changes_nothing(db, northwind):
    await _two(northwind.partner)
    heard = _listen()
    before = await _everything()
    told: list[tuple[int, int]] = []
    seen = await preview_import(
        northwind.partner, MIXED, by=northwind.ana, progress=lambda done, all_: told.append((done, all_))
    )
    assert (seen.added, seen.updated, seen.unchanged, seen.refused_lines) == (2, 1, 1, 2)
    assert [(each.line, each.column) for each in seen.refused] == [(5, 'licences'), (5, 'account_type'), (6, 'name')]
    [change] = seen.changed
    assert (change.line, change.name, change.account_code) == (2, 'Acme Ltd', 'ACME1')
    assert change.changes == [
        ('Name', 'Acme', 'Acme Ltd'), ('Licences', '50', '70'), ('Domain', 'acme.example', 'new.example'),
        ('Products', 'SEC', 'SEC+ARC'), ('List', 'In progress', 'Complete'),
    ]  # fmt: skip
    assert [(each.account_code, each.changes[0]) for each in seen.new] == [
        ('NEW1', ('Licences', '', '9')), ('WAIT1', ('Licences', '', '5')),
    ]  # fmt: skip
    assert told[-1] == (7, 8)
    assert (await _everything(), heard) == (before, [])


async def test_importing_does_what_the_preview_said_line_by_line(db, northwind):
    await _two(northwind.partner)
    seen = await preview_import(northwind.partner, MIXED)
    done = await import_customers(northwind.partner, MIXED)
    assert (done.outcomes, done.refused, done.warnings) == (seen.outcomes, seen.refused, seen.warnings)
    assert _counts(done) == _counts(seen)
    assert done.unlike(seen) == []
    assert set(done.outcomes) == {2, 3, 4, 7}


async def test_what_came_out_otherwise_than_in_the_preview_is_told(db, northwind):
    await _two(northwind.partner)
    seen = await preview_import(northwind.partner, MIXED)
    await Customer.add(northwind.partner, name='New', account_code='NEW1', rfi=RfiState.NOT_APPLICABLE)
    await Customer.add(northwind.partner, name='Waits', account_code='wait1')
    done = await import_customers(northwind.partner, MIXED)
    assert done.unlike(seen) == [(4, 'added', 'updated'), (7, 'added', 'refused')]


async def test_a_long_preview_shows_the_first_and_lets_others_go_on(sqlite_db, northwind, monkeypatch):
    monkeypatch.setattr(module, 'SAMPLES', 3)
    lines = [f'Customer {n},C{n:05},{n if n % 10 else "x"}' for n in range(2000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    seen = await preview_import(northwind.partner, '\n'.join(['name,account_code,licences', *lines]))
    task.cancel()
    assert (seen.added, seen.refused_lines, len(seen.new)) == (1800, 200, 3)
    assert turns > 2000 / module.TURN


# -- who imports ------------------------------------------------------------------------------------------------------


async def test_an_import_is_in_the_history_of_the_msp(db, northwind):
    await _two(northwind.partner)
    await import_customers(northwind.partner, MIXED, by=northwind.ana, name='our\tcustomers.csv')
    entry = await HistoryEvent.get(kind='customers.imported')
    assert (entry.partner_id, entry.customer_id, entry.actor_id) == (northwind.partner.id, None, northwind.ana.id)
    text = await entry.text()
    assert text is not None
    assert text.summary == (
        'Customers were imported from “our customers.csv”: 2 added, 1 updated, 1 unchanged, 2 refused'
    )
    assert text.facts == {
        'file': 'our customers.csv', 'sha256': hashlib.sha256(MIXED.encode()).hexdigest(), 'added': 2, 'updated': 1,
        'unchanged': 1, 'refused': 2,
    }  # fmt: skip


async def test_an_import_that_stores_nothing_leaves_no_entry(db, northwind):
    await import_customers(northwind.partner, MIXED, by=northwind.ana, all_or_nothing=True)
    assert not await HistoryEvent.exists(kind='customers.imported')


async def test_an_import_that_is_cut_off_is_written_down_as_far_as_it_got(db, northwind, monkeypatch):
    monkeypatch.setattr(module, 'CHUNK', 2)
    stored = module._Storing._stored
    asked = []

    async def failing(self, lines):
        asked.append(lines)
        if len(asked) == 2:
            raise RuntimeError('the disk is gone')
        return await stored(self, lines)

    monkeypatch.setattr(module._Storing, '_stored', failing)
    with pytest.raises(RuntimeError):
        await import_customers(northwind.partner, 'name,account_code\nA,A\nB,B\nC,C\nD,D\n', by=northwind.ana)
    text = await (await HistoryEvent.get(kind='customers.imported')).text()
    assert text is not None
    assert (text.facts['added'], await Customer.all().count()) == (2, 2)


async def test_only_those_with_the_right_import_and_only_for_their_msp(sqlite_db, northwind, fabrikam):
    for run in (import_customers, preview_import):
        with pytest.raises(Refused):
            await run(northwind.partner, TEMPLATE_CSV, by=northwind.tom)
        with pytest.raises(Refused):
            await run(northwind.partner, TEMPLATE_CSV, by=fabrikam.eve)
    assert await Customer.all().count() == 0


async def test_nobody_changes_by_a_file_whom_they_do_not_see(db, northwind):
    await _two(northwind.partner)
    tom = northwind.tom
    tom.role = PortalRole.IMPLEMENTATION
    await PortalUser.filter(id=tom.id).update(role=tom.role)
    acme = await Customer.get(account_code='ACME1')
    await CustomerAccess.create(user=tom, customer=acme, allowed=True)
    text = 'name,account_code\nAcme 2,ACME1\nBest 2,BEST1\nNew,NEW1\n'
    seen = await preview_import(northwind.partner, text, by=tom)
    done = await import_customers(northwind.partner, text, by=tom)
    assert (_counts(done), done.refused) == (_counts(seen), seen.refused)
    assert done.refused == [Refusal(3, 'account_code', 'is another customer’s, whom you do not see')]
    assert (await Customer.get(account_code='BEST1')).name == 'Best'
    # What they bring in is theirs to see.
    assert set(await Customer.visible_to(tom).values_list('account_code', flat=True)) == {'ACME1', 'NEW1'}


# -- tags -------------------------------------------------------------------------------------------------------------


async def test_tags_come_with_a_file_and_whoever_sees_by_them_is_told(db, northwind):
    await northwind.tom.change_sight(Sight(False, frozenset(), frozenset({'gold'})), by=northwind.ana)
    told: list[int] = []
    events.SIGHT_CHANGED.subscribe(told.append)

    async def tags_of(code: str) -> list[str]:
        return await CustomerTag.of((await Customer.get(account_code=code)).id)

    done = await import_customers(northwind.partner, 'name,account_code,tags\nAsh,A,Retail; gold\nOak,O,\n')
    assert (_counts(done), done.refused) == ((2, 0, 0, 0), [])
    assert (await tags_of('A'), await tags_of('O')) == (['gold', 'retail'], [])
    assert [each.name for each in await Customer.visible_to(northwind.tom)] == ['Ash']
    assert told == [northwind.tom.id]

    again = 'account_code,tags\nA,\nO,old\n'  # nothing in a cell says nothing
    seen = await preview_import(northwind.partner, again)
    assert [each.changes for each in seen.changed] == [[('Tags', '', 'old')]]
    assert _counts(await import_customers(northwind.partner, again)) == (0, 1, 1, 0)
    assert (await tags_of('A'), await tags_of('O')) == (['gold', 'retail'], ['old'])
    assert told == [northwind.tom.id]

    assert _counts(await import_customers(northwind.partner, 'account_code,tags\nA,RETAIL\nO,old;gold\n')) == (
        0,
        2,
        0,
        0,
    )
    assert (await tags_of('A'), await tags_of('O')) == (['retail'], ['gold', 'old'])
    assert [each.name for each in await Customer.visible_to(northwind.tom)] == ['Oak']
    assert set(told[1:]) == {northwind.tom.id}
    entry = await HistoryEvent.filter(customer_id=(await Customer.get(account_code='A')).id).order_by('-id').first()
    text = entry and await entry.text()
    assert text is not None
    assert text.summary == 'Import – Tags: gold, retail → retail'
    assert _counts(await import_customers(northwind.partner, 'account_code,tags\nA,retail\n')) == (0, 0, 1, 0)


async def test_the_history_names_an_imported_change_as_people_do(db, northwind):
    await import_customers(northwind.partner, 'name,account_code,rfi\nAsh,A,requested\n')
    await import_customers(
        northwind.partner, 'account_code,account_type,console_url,rfi,list\nA,nfr,https://c.example,n/a,complete\n'
    )
    entry = await HistoryEvent.filter(kind='customer.changed').first()
    text = entry and await entry.text()
    assert text is not None
    assert text.summary == (
        'Import – Account type: Standard → Not for resale; Admin Console address: nothing → https://c.example; '
        'RFI: Requested → Not applicable; List: Waiting → Complete'
    )


# -- files of another kind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('content', 'kind'),
    [
        (b'\x89PNG\r\n\x1a\n\x00\x00', 'a picture (PNG)'), (b'%PDF-1.7 ...', 'a PDF document'),
        (b'PK\x03\x04....xl/workbook.xml', 'an Excel workbook (.xlsx)'), (b'PK\x03\x04....', 'a ZIP archive'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'a workbook or document of an old Office (.xls, .doc)'),
        ('name,account_code\nA,A'.encode('utf-16'), 'text in UTF-16 (“Unicode text”)'),
        ('name,account_code\nA,A'.encode('utf-16-le'), 'text in UTF-16 (“Unicode text”)'),
        (b'\x00' * 50, 'no text but binary data'),
    ],
)  # fmt: skip
async def test_a_file_of_another_kind_is_told_by_what_it_is(sqlite_db, northwind, content, kind):
    result = await preview_import(northwind.partner, content)
    assert result.unreadable == f'The file is {kind}. {module.EXPECTED}'
    assert [(each.line, each.why) for each in result.refused] == [(1, result.unreadable)]


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        ('name\nA\n', 'no column “account_code”'), ('name,account_code,name\nA,A,A', 'the column “name” twice'),
        ('', 'empty'), ('name,account_code\nÉ,A'.encode('latin-1'), 'not UTF-8: line 2'),
    ],
)  # fmt: skip
async def test_what_makes_the_whole_file_unreadable_is_a_sentence(sqlite_db, northwind, content, says):
    assert says in (await preview_import(northwind.partner, content)).unreadable


async def test_a_file_with_refused_lines_is_readable(sqlite_db, northwind):
    assert (await preview_import(northwind.partner, 'name,account_code\nA,\n')).unreadable == ''
