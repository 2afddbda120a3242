"""Documents are read back with PDFium: what a person would find in them."""

import asyncio
import io
import logging
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

from models import ChangeMode, Order, OrderKind, Partner
from models.calendar import moment_said as moment
from models.calendar import said as day
from models.documents import addendum_pdf, cancellation_pdf, order_pdf, rfi_pdf
from models.documents.letters import joined
from models.documents.paper import UNKNOWN_SAID, Column, Msp, Paper, drawn, known, width_of, wrapped
from models.documents.words import amount, money

AT = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)


def _partner(**given) -> Partner:
    facts = {'name': 'Northwind IT', 'address': '12 Harbour Street\nRotterdam', 'time_zone': 'Europe/Amsterdam'}
    return Partner(id=1, currency='EUR', **facts | given)


def _line(code: str, quantity: int, unit: str, *, term: str = 'month', name: str = '') -> dict:
    total = f'{quantity * float(unit):.2f}'
    return {
        'code': code, 'name': name or f'Product {code}', 'quantity': quantity, 'unit_price': unit, 'term': term,
        'one_time': '0.00', 'monthly': total if term == 'month' else '0.00',
        'annual': total if term == 'year' else '0.00',
    }  # fmt: skip


def _order(kind: OrderKind = OrderKind.NEW, **given) -> Order:
    facts = {
        'lines': [_line('SEC', 682, '4.20'), _line('DMARC', 682, '6.00', term='year')], 'seats': 682,
        'fees': {'monthly': '2864.40', 'annual': '4092.00', 'one_time': '0.00', 'initial': '6956.40'},
        'currency': 'EUR', 'po_number': 'PO-118', 'accepts_agreement': True, 'is_authorised': True,
        'submitted_by': 'Ana Duarte', 'submitted_at': AT, 'changed_at': AT,
    }  # fmt: skip
    return Order(id=12, partner_id=1, kind=kind, **facts | given)


def _read(pdf: bytes) -> list[str]:
    """The text of every page, its lines as words with single spaces."""
    with pdfium.PdfDocument(pdf) as document:
        return [' '.join(page.get_textpage().get_text_bounded().split()) for page in document]


async def _of(pdf) -> str:
    return ' '.join(_read(await pdf))


async def test_an_order_says_what_was_ordered_by_whom_and_for_how_much():
    text = await _of(order_pdf(
        _order(details={'infrastructure': {'mail_platform': 'Microsoft 365', 'citrix_terminal_server': False}}),
        customer_name='Albatros B.V.', customer_lines=['Wharf 9', 'albatros.example'], account_code='P-000012',
        partner=_partner(),
    ))  # fmt: skip
    for said in (
        'Order ORD-000012', 'Northwind IT', '12 Harbour Street', 'Albatros B.V.', 'Wharf 9', 'P-000012', 'PO-118',
        'Licences (permitted users)',
        # 23:30 in London is tomorrow in Rotterdam.
        '24 November 2026', 'Product SEC', '682', '4.20', '2,864.40', 'Annually', 'Monthly fees EUR 2,864.40',
        'Annual fees EUR 4,092.00', 'First payment EUR 6,956.40', 'Mail platform', 'Microsoft 365',
        'Citrix or terminal server', 'governed by the Master Service Provider Agreement of Northwind IT',
        'authorised to place this order', 'Submitted by Ana Duarte', '24 November 2026 at 00:30 (UTC+01:00)',
        'Page 1 of 1',
    ):  # fmt: skip
        assert said in text, said
    assert 'one-time' not in text  # there are none


async def test_an_order_that_nobody_has_submitted_says_so():
    draft = _order(submitted_at=None, submitted_by='', accepts_agreement=False, is_authorised=False)
    text = await _of(order_pdf(draft, customer_name='Albatros', partner=_partner()))
    assert 'is a draft' in text
    assert 'Draft, not submitted' in text
    assert 'Submitted by' not in text
    assert 'governed by' not in text
    submitted = await _of(order_pdf(draft, customer_name='Albatros', by='Ivo', at=AT, partner=_partner()))
    assert 'Submitted by Ivo' in submitted


async def test_a_change_order_shows_before_and_after():
    change = _order(
        OrderKind.CHANGE, was_seats=682, seats=700, mode=ChangeMode.KEEP, effective_on=date(2026, 12, 1),
        withdraw_until=date(2026, 11, 30), lines=[_line('SEC', -682, '3.00'), _line('SEC', 700, '3.00')],
        fees={'monthly': '54.00', 'monthly_before': '2046.00', 'monthly_after': '2100.00', 'annual': '0.00'},
    )  # fmt: skip
    change.details = {'lead_said': 'Émile Zola\nemile@northwind.example'}
    text = await _of(addendum_pdf(change, customer_name='Albatros', partner=_partner()))
    assert 'Lead on our side' in text
    assert 'emile@northwind.example' in text
    for said in (
        'Change order CHG-000012', 'rises from 682 to 700', 'The primary product stays', '−682', '−2,046.00',
        'Fees (EUR) Before Difference From then on Monthly fees 2,046.00 +54.00 2,100.00',
        'Effective', '1 December 2026', 'Can be withdrawn until', '30 November 2026',
    ):  # fmt: skip
        assert said in text, said
    change.fees = {'monthly': '54.00', 'annual': '0.00'}
    text = await _of(addendum_pdf(change, customer_name='Albatros', partner=_partner()))
    assert 'Monthly fees, difference EUR +54.00' in text
    assert 'Before' not in text
    assert 'negative amounts' in text
    change.lines = [_line('SEC', 18, '3.00')]
    assert 'negative amounts' not in await _of(addendum_pdf(change, customer_name='Albatros', partner=_partner()))


async def test_a_cancellation_says_what_is_asked_for():
    end = _order(OrderKind.CANCELLATION, effective_on=date(2027, 1, 31),
                 details={'type': 'cancel', 'data_export': True, 'because': 'Sold'})  # fmt: skip
    text = await _of(cancellation_pdf(end, customer_name='Albatros', partner=_partner()))
    for said in ('Cancellation CAN-000012', 'ends on 31 January 2027', 'export of the customer’s data is required',
                 'Reason: Sold', 'Monthly fees'):  # fmt: skip
        assert said in text, said
    assert 'First payment' not in text
    end.details = {'type': 'partner_change', 'data_export': False}
    text = await _of(cancellation_pdf(end, customer_name='Albatros', partner=_partner()))
    assert 'Partner change CAN-000012' in text
    assert 'moves to another partner on 31 January 2027' in text
    assert 'No export' in text


async def test_a_copy_of_an_rfi_form_has_every_answer():
    customer: Any = SimpleNamespace(partner_id=1, name='Albatros', account_code='CNL1')
    asked = [
        ('Technical contact', [('Name', 'Ivo Škoda'), ('Mobile', '')]),
        ('Addresses', [('Outbound IP addresses', ['203.0.113.4', '2001:db8::1']), ('Lock down', True), ('Port', 636)]),
    ]
    text = await _of(rfi_pdf(customer, asked, by='Ivo', at=AT, state='Complete', version=3, partner=_partner()))
    for said in ('Request for Information', 'Technical contact', 'Ivo Škoda', 'Mobile –', '203.0.113.4', '2001:db8::1',
                 'Lock down Yes', 'Port 636', 'State Complete Version 3', 'CNL1'):  # fmt: skip
        assert said in text, said


async def test_a_table_goes_on_over_pages_with_its_head_and_nothing_is_lost():
    lines = [_line(f'CODE{n}', n, '12345.50', name=f'Long {n} ' + 'word ' * (n % 30)) for n in range(120)]
    pages = _read(await order_pdf(_order(lines=lines), customer_name='Albatros', partner=_partner()))
    assert len(pages) > 5
    for n, text in enumerate(pages, 1):
        assert text.count(f'Page {n} of {len(pages)}') == 1
        assert 'Northwind IT · 12 Harbour Street · Rotterdam' in text
    assert all('A licence' in text for text in pages[:-1])
    assert all(text.startswith('Order ORD-000012 · Albatros') for text in pages[1:])
    assert all('Products and licences (continued)' in text for text in pages[1:-1])
    everything = ' '.join(pages).split()
    assert all(everything.count(f'CODE{n}') == 1 for n in range(120))


async def test_a_row_that_is_longer_than_a_page_is_continued():
    customer: Any = SimpleNamespace(partner_id=1, name='Albatros', account_code='CNL1')
    note = ' '.join(f'w{n}' for n in range(3000))
    pages = _read(await rfi_pdf(customer, [('Notes', [('Note', note)])], at=AT, partner=_partner()))
    assert len(pages) > 2
    words = [word for text in pages for word in text.split() if word[0] == 'w' and word[1:].isdigit()]
    assert words == note.split()


def test_no_heading_stands_alone_at_the_foot_of_a_page_and_no_row_or_sum_at_its_head():
    tall, sums = 'first ' + 'word ' * 60, [('Total', '1.00'), ('Initial', '2.00')]

    def draw(paper: Paper) -> None:
        paper.title()
        for _ in range(lines):
            paper.paragraph('.')
        paper.heading('Alone')
        if tall_row:
            paper.table([Column('Question', 1), Column('Answer', 1)], [['Q1', tall], ['Q2', 'second'], ['Q3', 'last']],
                        sums=sums)  # fmt: skip
        else:
            paper.facts([('Label', 'first')])

    # As many lines as leave just room for both, for one, and for none of them at the foot of the page.
    for lines, tall_row in [(n, True) for n in range(22, 31)] + [(n, False) for n in range(32, 36)]:
        made = drawn(draw, Msp('Northwind', []), title='T', about='A', at=AT)
        (page,) = [text for text in _read(made) if 'Alone' in text.replace('Alone (continued)', '')]
        assert 'first' in page, lines
        pages = [text for text in _read(made) if 'Initial' in text]
        assert not tall_row or ('second' in pages[0] and 'last' in pages[0] and 'Total' in pages[0]), lines


async def test_texts_stay_texts_in_every_language():
    names = ['{nb}', '<b>Bold</b>', '**Sterne**', '](javascript:1)', '\\(x\\)', 'Žižka Ωμέγα Компания', '=1+1']
    for name in names:
        text = await _of(order_pdf(_order(), customer_name=name, partner=_partner()))
        assert name in text
        assert UNKNOWN_SAID not in text
    text = await _of(order_pdf(_order(), customer_name='漢字 Ltd', partner=_partner()))
    assert 'Ltd' in text
    assert UNKNOWN_SAID in text


async def test_letters_that_are_read_from_the_right_are_drawn_so():
    right = await order_pdf(_order(), customer_name='אבג 123', partner=_partner())
    with pdfium.PdfDocument(right) as document:
        page = document[0].get_textpage()
        text = page.get_text_range()
        first, last = (page.get_charbox(text.index(letter))[0] for letter in 'אג')
        assert first > last


def test_arabic_letters_are_joined_as_they_are_written():
    shaped = {
        'شركة': '\ufeb7\ufeae\ufedb\ufe94', 'لا': '\ufefb', 'بلا': '\ufe91\ufefc', 'ب': '\ufe8f',
        # A mark above a letter does not part it from the next one, a space does.
        'بَب': '\ufe91\u064e\ufe90', 'ب ب': '\ufe8f \ufe8f', 'دار': '\ufea9\ufe8d\ufead', 'بـ1': '\ufe91\u06401',
    }  # fmt: skip
    assert {text: joined(text) for text in shaped} == shaped
    for text in ('Albatros', 'Žižka', 'אבג', '漢字', ''):
        assert joined(text) == text
    assert known('Ａ漢') == 'A\ufffd'


async def test_the_same_facts_give_the_same_bytes():
    first, second = [await order_pdf(_order(), customer_name='A', partner=_partner()) for _ in range(2)]
    assert first == second
    with pdfium.PdfDocument(first) as document:
        about = document.get_metadata_dict()
    assert about['Title'] == 'Order ORD-000012'
    assert about['Author'] == 'Northwind IT'
    assert about['CreationDate'].startswith('D:20261123233000')
    assert b'/Lang (en-GB)' in first
    assert b'/MarkInfo' in first


async def test_the_log_says_nothing_of_what_stands_in_a_document(caplog):
    caplog.set_level(logging.INFO)
    await order_pdf(_order(), customer_name='Albatros 漢字', partner=_partner())
    assert [record.name for record in caplog.records if record.name.startswith(('fontTools', 'fpdf'))] == []


def _picture(size: tuple[int, int], colour: str) -> bytes:
    made = io.BytesIO()
    Image.new('RGBA', size, colour).save(made, 'PNG')
    return made.getvalue()


@pytest.mark.parametrize(('logo', 'drawn_ones'), [
    (_picture((400, 100), '#ff0000'), 1), (_picture((1, 512), '#ff0000'), 1), (b'no picture', 0), (b'', 0), (None, 0),
])  # fmt: skip
async def test_the_logo_is_drawn_or_else_the_name(logo, drawn_ones):
    pdf = await order_pdf(_order(), customer_name='A', partner=_partner(logo=logo))
    with pdfium.PdfDocument(pdf) as document:
        assert len(list(document[0].get_objects(filter=[FPDF_PAGEOBJ_IMAGE]))) == drawn_ones
        picture = document[0].render(scale=1).to_pil().convert('RGB')
    reds = sum(1 for pixel in picture.get_flattened_data() if pixel[0] > 240 and pixel[1] < 40)
    assert (reds > 0) == bool(drawn_ones)


_ANY = st.text(st.characters(), max_size=300)  # lone surrogates too


@settings(max_examples=25, deadline=None)
@given(name=_ANY, line=_ANY, code=_ANY, po=_ANY, address=_ANY, msp=_ANY, quantity=st.integers(-(10**9), 10**9),
       price=st.one_of(st.decimals(allow_nan=True, allow_infinity=True).map(str), _ANY))  # fmt: skip
def test_no_text_stops_a_document(name, line, code, po, address, msp, quantity, price):
    lines = [_line('X', 1, '1.00') | {'name': name, 'code': code, 'quantity': quantity, 'unit_price': price}]
    given = _order(lines=lines, po_number=po, submitted_by=name, details={'infrastructure': {line: name}})
    partner = _partner(name=msp, address=address, agreement=line)
    asyncio.run(_drawn(given, name, line, partner))


async def _drawn(order, name, line, partner):
    pdf = await order_pdf(order, customer_name=name, customer_lines=[line, line], account_code=line, partner=partner)
    assert 'Page 1 of' in _read(pdf)[0]


def test_nothing_is_wider_than_the_page():
    pages = drawn(
        lambda paper: paper.table([Column('a' * 90, 1), Column('b', 1, right=True)], [['W' * 500, '9' * 80]] * 3),
        Msp('M' * 300, ['A' * 400] * 20), title='T' * 200, about='Z' * 400, at=AT,
    )  # fmt: skip
    with pdfium.PdfDocument(pages) as document:
        for page in document:
            width, height = page.get_size()
            for each in page.get_objects():
                left, bottom, right, top = each.get_bounds()
                assert left > 40, 'beyond the left margin'
                assert right < width - 40, 'beyond the right margin'
                assert bottom > 10
                assert top < height


def test_lines_are_as_wide_as_they_may_be():
    assert wrapped('one two three', 1000) == ['one two three']
    assert all(width_of(line, 9) <= 20 for line in wrapped('a longer text and a' + 'b' * 100, 20))
    assert ''.join(wrapped('x' * 100, 20)) == 'x' * 100
    assert wrapped('', 20) == []


@pytest.mark.parametrize(('value', 'currency', 'said'), [
    ('1234.5', 'EUR', 'EUR 1,234.50'), ('-0.00', 'EUR', 'EUR 0.00'), ('-1234567', 'USD', 'USD −1,234,567.00'),
    ('1234', 'JPY', 'JPY 1,234'), ('0.5', 'JPY', 'JPY 0.5'), ('1.5', 'KWD', 'KWD 1.500'), ('1.005', 'EUR', 'EUR 1.005'),
    ('', 'EUR', '–'), (None, 'EUR', '–'), ('NaN', 'EUR', '–'), ('1e999', 'EUR', '–'), ('no', 'EUR', '–'),
])  # fmt: skip
def test_amounts(value, currency, said):
    assert money(value, currency) == said
    assert amount(value, currency) == said.removeprefix(f'{currency} ')


def test_days_are_those_of_the_zone():
    assert day(AT, 'UTC') == '23 November 2026'
    assert day(AT, 'Asia/Tokyo') == '24 November 2026'
    assert day(date(2028, 2, 29)) == '29 February 2028'
    assert day(None) == '–'
    assert moment(AT, 'America/St_Johns') == '23 November 2026 at 20:00 (UTC−03:30)'
