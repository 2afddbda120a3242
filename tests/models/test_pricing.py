from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.theme import ASSETS
from models import BillingTerm, Price, Product, ProductKind
from models.currency import CURRENCIES, minor_units
from models.pricing import PERMITTED, TITLES, Line, fees, line, rounded, shown

_amounts = st.decimals(0, 1_000_000, places=2)
_currencies = st.sampled_from(sorted(CURRENCIES))


def _line(
    unit: Decimal | str, quantity: int, *, term: BillingTerm = BillingTerm.MONTH, once: Decimal | str = '0',
    currency: str = 'EUR', **more: bool,
) -> Line:  # fmt: skip
    product = Product(code='SEC', name='Email Security', kind=ProductKind.PRIMARY)
    price = Price(unit_price=Decimal(unit), term=term, one_time_fee=Decimal(once), currency=currency)
    return line(product, price, quantity, **more)


def test_a_line_is_billed_by_the_month_or_by_the_year():
    monthly, yearly = _line('2.60', 25, once='120'), _line('16.20', 25, term=BillingTerm.YEAR)
    assert monthly.as_data() == {
        'code': 'SEC', 'name': 'Email Security', 'quantity': 25, 'unit_price': '2.60', 'term': 'month',
        'one_time': '120.00', 'monthly': '65.00', 'annual': '0.00',
    }  # fmt: skip
    assert (yearly.monthly, yearly.annual) == (0, Decimal('405.00'))
    assert fees([monthly, yearly]).as_data() == {
        'monthly': '65.00', 'annual': '405.00', 'one_time': '120.00', 'initial': '590.00',
    }  # fmt: skip


def test_a_line_is_rounded_half_up_to_what_its_currency_has():
    assert _line('0.5', 1, currency='JPY').monthly == Decimal(1)
    assert _line('0.5', -1, currency='JPY').monthly == Decimal(-1)
    assert _line('0.4', 1, currency='JPY').as_data()['monthly'] == '0'
    assert _line('2.50', 3, currency='KWD').as_data()['monthly'] == '7.500'
    assert rounded(Decimal('0.125'), 'EUR') == -rounded(Decimal('-0.125'), 'EUR') == Decimal('0.13')


def test_what_is_taken_away_or_was_had_before_costs_no_one_time_fee():
    assert _line('2.60', -25, once='120').as_data()['one_time'] == '0.00'
    assert _line('2.60', 25, once='120', with_one_time_fee=False).one_time == 0
    assert fees([_line('2.60', -25), _line('2.60', 30)]).as_data()['monthly'] == '13.00'


def test_an_order_of_nothing_costs_nothing():
    assert fees([], 'EUR').as_data() == dict.fromkeys(('monthly', 'annual', 'one_time', 'initial'), '0.00')
    assert set(fees([], 'JPY').as_data().values()) == {'0'}


def test_amounts_of_two_currencies_are_not_added_up():
    with pytest.raises(AssertionError):
        fees([_line('1', 1), _line('1', 1, currency='USD')])


@given(
    st.lists(st.tuples(_amounts, st.integers(-5000, 10_000_000), st.sampled_from(BillingTerm), _amounts), max_size=12),
    _currencies,
)
def test_the_sums_are_those_of_the_lines_and_nothing_is_lost(each, currency):
    lines = [_line(unit, quantity, term=term, once=once, currency=currency) for unit, quantity, term, once in each]
    found = fees(lines, currency)
    # As somebody adds up what is printed.
    printed = [entry.as_data() for entry in lines]
    for name in ('monthly', 'annual', 'one_time'):
        assert Decimal(found.as_data()[name]) == sum((Decimal(one[name]) for one in printed), Decimal(0))
    assert found.initial == found.monthly + found.annual + found.one_time
    smallest = Fraction(1, 10 ** minor_units(currency))
    for entry, (unit, quantity, term, _once) in zip(lines, each, strict=True):
        sum_ = entry.monthly if term == BillingTerm.MONTH else entry.annual
        assert (entry.annual if term == BillingTerm.MONTH else entry.monthly) == 0
        assert abs(Fraction(sum_) - Fraction(unit) * quantity) <= smallest / 2
        assert Fraction(sum_) % smallest == 0
        assert Line.of_data(entry.as_data(), currency) == entry


@given(_amounts, _currencies)
def test_what_is_shown_is_the_amount_and_has_the_digits_of_its_currency(amount, currency):
    text = shown(rounded(amount, currency), currency)
    assert Decimal(text) == amount.quantize(Decimal(1).scaleb(-minor_units(currency)), ROUND_HALF_UP)
    assert len(text.partition('.')[2]) == minor_units(currency)
    assert Decimal(shown(amount, currency)) == amount


def test_the_forms_call_the_sums_what_documents_and_cards_call_them():
    forms = (ASSETS / 'ordering.js').read_text()
    for name, title in TITLES.items():
        assert f"{name}: '{title}'" in forms
    assert f"'{PERMITTED}'" in forms
