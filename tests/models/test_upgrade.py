from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import Customer, CustomerProduct, Partner, Product, ProductKind, RfiState
from models.product import CATALOGUE, RULES, load_catalogue, next_renewal
from models.upgrade import Option, options
from tests.price_list import priced


async def _prices(partner, *codes: str) -> None:
    await priced(partner, dict.fromkeys(codes, '2.50'))


async def _customer(partner, *products: str, rfi: RfiState = RfiState.NOT_APPLICABLE) -> Customer:
    code = f'A{await Customer.all().count()}'
    return await Customer.add(partner, name='A', account_code=code, products=products, rfi=rfi, seats=10)


async def _options(customer: Customer) -> dict[str, Option]:
    return {option.code: option for option in await options(customer)}


async def test_every_product_that_the_customer_has_not_got_is_there_with_why_it_is_not_available(db, northwind):
    await _prices(northwind.partner, 'SEC', 'SEC+ARC', 'ARC', 'TTP-URL', 'IEP')
    found = await options(await _customer(northwind.partner, 'SEC', 'DMARC'))
    assert {option.code for option in found} == {code for code, *_ in CATALOGUE} - {'SEC', 'DMARC'}
    assert [(o.code, o.replaces) for o in found if o.available] == [
        ('ARC', ()), ('SEC+ARC', ('Email Security',)), ('TTP-URL', ()),
    ]  # fmt: skip
    by_code = {option.code: option for option in found}
    assert by_code['TTP-URL'] == Option(
        'TTP-URL', 'URL protection', ProductKind.ADD_ON, Decimal('2.50'), 'USD', available=True
    )
    assert (by_code['IMP'].why, by_code['IMP'].price) == ('Not in your price list', None)
    # What brings the same and more is not named beside it.
    assert by_code['IEP'].why == 'Needs Email Security and Archiving'
    assert by_code['IEP'].price == Decimal('2.50')
    availability = [option.available for option in found]
    assert availability == sorted(availability, reverse=True)


async def test_who_has_a_bundle_needs_none_of_its_parts(db, northwind):
    await _prices(northwind.partner, *(code for code, *_ in CATALOGUE))
    found = await _options(await _customer(northwind.partner, 'UEM'))
    for code in ('SEC', 'ARC', 'SEC+ARC', 'CONT'):
        assert found[code].why == 'Not together with Unified Email Management'
    assert found['DLP'].available


async def test_a_waiting_customer_has_nothing_before_its_rfi_is_back(db, northwind):
    await _prices(northwind.partner, 'SEC', 'ARC')
    found = await _options(await _customer(northwind.partner, 'SEC', rfi=RfiState.REQUESTED))
    assert {option.why for option in found.values()} == {'Possible once the RFI has come back'}
    await Partner.filter(id=northwind.partner.id).update(upgrades_when_complete=True)
    found = await _options(await _customer(northwind.partner, 'SEC'))
    assert {option.why for option in found.values()} == {'Possible once Connect is complete; your MSP wants it so'}


async def test_an_add_on_needs_a_primary_product_first(db, northwind):
    await _prices(northwind.partner, 'SEC', 'SAT', 'TTP-URL')
    found = await _options(await _customer(northwind.partner))
    assert found['SEC'].available
    assert found['SAT'].why == found['TTP-URL'].why == 'Needs a primary product first'


async def test_nothing_is_added_to_a_primary_product_that_left_the_price_list(db, northwind):
    await _prices(northwind.partner, 'SEC', 'UEM', 'SAT')
    found = await _options(await _customer(northwind.partner, 'CONT'))
    assert found['SAT'].why == 'Continuity, which the customer has, is not in your price list'
    # Nor does anything come in its place: nobody could say what its going saves.
    assert (found['UEM'].why, found['UEM'].replaces) == (found['SAT'].why, ())


async def test_prices_are_those_of_the_own_msp(db, northwind, fabrikam):
    await _prices(fabrikam.partner, 'SEC', 'ARC')
    found = await _options(await _customer(northwind.partner, 'SEC'))
    assert not any(option.available or option.price for option in found.values())


async def test_a_product_that_is_no_longer_sold_is_left_out(db, northwind):
    await _prices(northwind.partner, 'SEC', 'SAT')
    customer = await _customer(northwind.partner, 'SEC')
    await Product.filter(code='SAT').update(is_active=False)
    assert 'SAT' not in await _options(customer)


@pytest.mark.parametrize('data', [[], {'requires': 'SEC'}, {'requires': ['GONE'], 'excludes': {'ARC': 1}}, 7])
async def test_rules_that_say_nothing_sensible_forbid_nothing(db, northwind, data):
    await _prices(northwind.partner, 'SEC', 'SAT')
    customer = await _customer(northwind.partner, 'SEC')
    product = await Product.get(code='SAT')
    product.data, product.is_sample = data, False
    await product.save()
    assert (await _options(customer))['SAT'].available


async def test_the_sample_catalogue_has_rules_and_keeps_those_of_the_msp(db):
    await load_catalogue()
    await Product.filter(code='SEC').update(data={})
    await Product.filter(code='ARC').update(data={'excludes': ['SAT']})
    await Product.filter(code='SAT').update(data={}, is_sample=False)
    await load_catalogue()
    data = {product.code: product.data for product in await Product.all()}
    assert (data['SEC'], data['ARC'], data['SAT']) == (RULES['SEC'], {'excludes': ['SAT']}, {})
    codes = {code for code, *_ in CATALOGUE}
    for rules in RULES.values():
        assert set(rules['requires']) | set(rules['excludes']) | set(rules['replaces']) <= codes
    assert set(RULES) == codes


async def test_products_of_a_customer_are_listed_primary_first(db, northwind):
    customer = await _customer(northwind.partner, 'DMARC', 'SEC', 'ARC')
    await CustomerProduct.filter(product__code='SEC').update(since=date(2025, 2, 3), renews_on=date(2027, 2, 3))
    listed = await CustomerProduct.list_of(customer.id)
    assert [row['code'] for row in listed] == ['ARC', 'SEC', 'DMARC']
    assert listed[1] == {
        'code': 'SEC', 'name': 'Email Security', 'kind': 'Primary product', 'quantity': 10, 'since': '2025-02-03',
        'renews_on': '2027-02-03',
    }  # fmt: skip
    assert listed[2]['renews_on'] is None


@given(since=st.dates(date(2015, 1, 1), date(2030, 1, 1)), today=st.dates(date(2015, 1, 1), date(2035, 1, 1)))
def test_a_product_renews_on_the_first_anniversary_that_is_to_come(since, today):
    renews = next_renewal(since, today)
    assert renews > max(since, today)
    assert (renews.month, renews.day) in ((since.month, since.day), (2, 28))
    assert renews.year - max(since, today).year <= 1
