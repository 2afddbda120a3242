from decimal import Decimal

import pytest

from models import (
    BillingTerm,
    Customer,
    CustomerProduct,
    HistoryEvent,
    Partner,
    PortalRole,
    PortalUser,
    Price,
    Product,
    ProductKind,
    RfiState,
)
from models.catalogue import add_product, change_product, for_partner, money, price_list
from models.checking import ChangedMeanwhile, Invalid
from models.product import CATALOGUE, load_catalogue
from models.rights import Refused
from models.upgrade import options


async def _customer(partner, *products: str) -> Customer:
    code = f'A{await Customer.all().count()}'
    return await Customer.add(
        partner, name='A', account_code=code, products=products, rfi=RfiState.NOT_APPLICABLE, seats=10
    )


async def _row(partner, code: str) -> dict:
    fresh = await Partner.get(id=partner.id)
    return next(row for row in await price_list(fresh) if row['code'] == code)


async def _audited(partner) -> list[tuple[str, str]]:
    entries = await HistoryEvent.filter(chain=f'p:{partner.id}', kind__startswith='price.').order_by('sequence')
    return [(entry.kind, (await entry.text()).summary) for entry in entries]  # type: ignore[union-attr]


async def test_a_new_msp_sells_the_samples_and_has_no_prices(db, northwind):
    listed = await price_list(northwind.partner)
    assert {row['code'] for row in listed} == {code for code, *_ in CATALOGUE}
    assert all(row['is_sample'] and not row['is_own'] and row['price'] == '' for row in listed)
    assert [row['kind'] for row in listed] == sorted((row['kind'] for row in listed), reverse=True)


async def test_whoever_changes_a_sample_gets_a_copy_which_its_customers_have_from_then_on(db, northwind, fabrikam):
    mine = await _customer(northwind.partner, 'SEC')
    theirs = await _customer(fabrikam.partner, 'SEC')
    for partner in (northwind.partner, fabrikam.partner):
        await Price.create(partner=partner, product=await Product.get(code='SEC'), unit_price='2', currency='USD')
    changed = await change_product(
        northwind.partner, 'SEC', {'name': 'Mail Guard'}, was={'name': 'Email Security'}, by=northwind.ana
    )
    assert changed == {'name'}
    sample, own = await Product.get(code='SEC', partner=None), await Product.get(code='SEC', partner=northwind.partner)
    assert (sample.name, sample.is_sample, own.name, own.is_sample) == ('Email Security', True, 'Mail Guard', False)
    assert (own.kind, own.connect_services, own.data) == (sample.kind, 'S', sample.data)
    assert (await CustomerProduct.get(customer=mine)).product_id == own.id
    assert (await CustomerProduct.get(customer=theirs)).product_id == sample.id
    assert (await Price.get(partner=northwind.partner)).product_id == own.id
    assert (await Price.get(partner=fabrikam.partner)).product_id == sample.id
    assert (await for_partner(northwind.partner.id))['SEC'].id == own.id
    assert (await for_partner(fabrikam.partner.id))['SEC'].id == sample.id
    assert 'SEC' not in {option.code for option in await options(mine)}
    # A customer that is added now has the copy, and the next change makes no other one.
    assert (await CustomerProduct.get(customer=await _customer(northwind.partner, 'SEC'))).product_id == own.id
    await change_product(northwind.partner, 'SEC', {'name': 'Guard'}, was=None, by=northwind.ana)
    assert await Product.filter(code='SEC').count() == 2
    assert (await _row(northwind.partner, 'SEC'))['customers'] == 2
    assert await _audited(northwind.partner) == [
        ('price.changed', 'SEC (Mail Guard) – Name: Email Security → Mail Guard'),
        ('price.changed', 'SEC (Guard) – Name: Mail Guard → Guard'),
    ]
    assert await _audited(fabrikam.partner) == []


async def test_a_price_alone_leaves_the_sample_what_it_is(db, northwind):
    await load_catalogue()
    before = await Product.all().count()
    facts = {'price': '2.6', 'term': 'year', 'one_time_fee': '120'}
    was = {'price': '', 'term': 'month', 'one_time_fee': ''}
    assert await change_product(northwind.partner, 'SEC', facts, was=was, by=northwind.ana) == set(facts)
    assert await Product.all().count() == before
    price = await Price.get(partner=northwind.partner)
    assert (price.unit_price, price.one_time_fee, price.term, price.currency) == (
        Decimal('2.60'), Decimal(120), BillingTerm.YEAR, 'USD',
    )  # fmt: skip
    row = await _row(northwind.partner, 'SEC')
    assert (row['price'], row['term'], row['one_time_fee'], row['is_sample']) == ('2.60', 'year', '120.00', True)
    assert await change_product(northwind.partner, 'SEC', facts, was=None, by=northwind.ana) == set()
    taken_out = {'price': '', 'one_time_fee': ''}
    assert await change_product(northwind.partner, 'SEC', taken_out, was=None, by=northwind.ana) == set(taken_out)
    assert not await Price.exists()
    assert [said for _, said in await _audited(northwind.partner)] == [
        'SEC (Email Security) – Price a licence: nothing → 2.60; Billed: Monthly → Annually; '
        'One-time fee: nothing → 120.00',
        'SEC (Email Security) – Price a licence: 2.60 → nothing; One-time fee: 120.00 → nothing',
    ]


async def test_a_price_in_the_currency_of_before_is_none(db, northwind):
    await change_product(northwind.partner, 'SEC', {'price': '2.60'}, was=None, by=northwind.ana)
    await Partner.filter(id=northwind.partner.id).update(currency='JPY')
    row = await _row(northwind.partner, 'SEC')
    assert (row['price'], row['elsewhere']) == ('', 'USD 2.60')
    await change_product(northwind.partner, 'SEC', {'price': '260'}, was={'price': ''}, by=northwind.ana)
    row = await _row(northwind.partner, 'SEC')
    assert (row['price'], row['elsewhere']) == ('260', '')


async def test_an_msp_adds_products_of_its_own(db, northwind, fabrikam):
    await load_catalogue()
    product = await add_product(
        northwind.partner, {
            'code': 'BACKUP+', 'name': 'Mailbox backup', 'kind': 'addon', 'connect_services': ['A'],
            'requires': ['ARC', 'UEM'], 'excludes': ['LFS'], 'price': '1.15', 'one_time_fee': '0',
        },
        by=northwind.ana,
    )  # fmt: skip
    assert (product.kind, product.connect_services, product.is_sample) == (ProductKind.ADD_ON, 'A', False)
    assert (product.codes('requires'), product.codes('excludes')) == (['ARC', 'UEM'], ['LFS'])
    assert (await _row(northwind.partner, 'BACKUP+'))['price'] == '1.15'
    assert 'BACKUP+' not in await for_partner(fabrikam.partner.id)
    assert await _audited(northwind.partner) == [(
        'price.product_added',
        'BACKUP+ (Mailbox backup) was added to the catalogue: USD 1.15 a licence, billed monthly',
    )]  # fmt: skip
    await change_product(northwind.partner, 'BACKUP+', {'is_active': False}, was={'is_active': True}, by=northwind.ana)
    listed = await price_list(northwind.partner)
    assert (listed[-1]['code'], listed[-1]['is_active']) == ('BACKUP+', False)
    # The same code in another MSP is another product.
    await add_product(fabrikam.partner, {'code': 'BACKUP+', 'name': 'Copy'}, by=fabrikam.eve)
    assert (await for_partner(northwind.partner.id))['BACKUP+'].name == 'Mailbox backup'


@pytest.mark.parametrize(
    ('facts', 'wrong'),
    [
        ({'code': '', 'name': ''}, {'code', 'name'}),
        ({'code': 'sec', 'name': 'x'}, {'code'}),
        ({'code': 'a,b', 'name': 'x'}, {'code'}),
        ({'code': 'x' * 21, 'name': 'x' * 121}, {'code', 'name'}),
        ({'code': 'X', 'name': 'x', 'kind': 'bundle', 'connect_services': 'Q', 'requires': ['NO']},
         {'kind', 'connect_services', 'requires'}),
        ({'code': 'X', 'name': 'x', 'excludes': ['X']}, {'excludes'}),
        ({'code': 'X', 'name': 'x', 'price': '2,60', 'one_time_fee': '-1', 'term': 'week'},
         {'price', 'one_time_fee', 'term'}),
        ({'code': 'X', 'name': 'x', 'price': '2.605'}, {'price'}),
        ({'code': 'X', 'name': 'x', 'one_time_fee': '5'}, {'price'}),
        ({'code': 'X', 'name': 'x', 'is_active': 'yes', 'partner_id': 1}, {'is_active', 'partner_id'}),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_told_by_field_and_nothing_is_stored(sqlite_db, northwind, facts, wrong):
    await load_catalogue()
    before = await Product.all().count()
    with pytest.raises(Invalid) as refused:
        await add_product(northwind.partner, facts, by=northwind.ana)
    assert set(refused.value.errors) == wrong
    assert (await Product.all().count(), await Price.all().count()) == (before, 0)
    assert not await _audited(northwind.partner)


@pytest.mark.parametrize(
    ('text', 'currency', 'made'),
    [
        ('2.6', 'EUR', '2.60'), ('0', 'EUR', '0.00'), ('', 'EUR', ''), (' 12 ', 'KWD', '12.000'), ('260', 'JPY', '260'),
        ('3000000', 'VND', '3000000'), ('2.605', 'KWD', '2.605'), ('2.60', 'JPY', None), ('1e3', 'EUR', None),
        ('٣', 'EUR', None), ('1,000', 'EUR', None), ('NaN', 'EUR', None), ('100000000.01', 'EUR', None),
        ('2.6051', 'KWD', None), ('2.605', 'EUR', None),
    ],
)  # fmt: skip
def test_an_amount_has_the_digits_of_its_currency(text, currency, made):
    if made is None:
        with pytest.raises(Invalid):
            money('price', text, currency)
    else:
        assert money('price', text, currency) == made


async def test_who_was_slower_is_told_and_changes_nothing(db, northwind):
    await change_product(northwind.partner, 'SEC', {'price': '2.60'}, was={'price': ''}, by=northwind.ana)
    with pytest.raises(ChangedMeanwhile) as told:
        await change_product(
            northwind.partner, 'SEC', {'name': 'Guard', 'price': '3'}, was={'name': 'Email Security', 'price': ''},
            by=northwind.ana,
        )  # fmt: skip
    assert (told.value.field, told.value.now) == ('price', '2.60')
    row = await _row(northwind.partner, 'SEC')
    assert (row['name'], row['price'], row['is_own']) == ('Email Security', '2.60', False)


async def test_the_price_list_is_changed_by_administrators_and_finance_of_the_own_msp(db, northwind, fabrikam):
    for role in PortalRole:
        who = await PortalUser.create(partner=northwind.partner, name='x', email=f'{role}@x.example', role=role)
        if role in (PortalRole.ADMINISTRATOR, PortalRole.FINANCE):
            await change_product(northwind.partner, 'SEC', {'price': '1'}, was=None, by=who)
        else:
            with pytest.raises(Refused):
                await change_product(northwind.partner, 'SEC', {'price': '2'}, was=None, by=who)
            with pytest.raises(Refused):
                await add_product(northwind.partner, {'code': 'X', 'name': 'x'}, by=who)
    with pytest.raises(Refused):
        await change_product(northwind.partner, 'SEC', {'price': '2'}, was=None, by=fabrikam.eve)
    with pytest.raises(KeyError):
        await change_product(northwind.partner, 'NO', {'price': '2'}, was=None, by=northwind.ana)
