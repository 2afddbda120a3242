"""What an MSP sells: its own products before the shared samples of the same codes, and what each costs it.

The samples belong to nobody. Whoever changes one gets a copy that is the MSP's own, and what its customers have and its
price list says is of that copy from then on; other MSPs go on with the sample.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from tortoise.expressions import Q, Subquery
from tortoise.functions import Count

from models import checking, events, rights
from models.checking import Invalid
from models.currency import minor_units
from models.database import reader
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.price import BillingTerm, Price
from models.pricing import rounded, shown
from models.product import CATALOGUE, CustomerProduct, Product, ProductKind, by_code, load_catalogue

if TYPE_CHECKING:
    from models.user import PortalUser

RULES = ('requires', 'excludes', 'replaces')
SERVICES = {'S': 'Email security', 'A': 'Archiving'}
MOST = 300  # own products of an MSP
HIGHEST = Decimal(100_000_000)  # price or fee: a mistake, not a price; a coffee is 50,000 of some currencies
# What the history and the page call the facts of a product and its price.
TITLES = {
    'code': 'Code', 'name': 'Name', 'kind': 'Kind', 'connect_services': 'Connect services', 'requires': 'Needs one of',
    'excludes': 'Not together with', 'replaces': 'Takes the place of', 'is_active': 'Sold', 'price': 'Price a licence',
    'term': 'Billed', 'one_time_fee': 'One-time fee',
}  # fmt: skip
_PRICE = ('price', 'term', 'one_time_fee')
EXAMPLES = {0: '260', 2: '2.60', 3: '2.600'}  # an amount in each kind of currency
_CODE = re.compile(r'[A-Za-z0-9][A-Za-z0-9+._/-]{0,19}')
_AMOUNT = re.compile(r'[0-9]{1,15}(\.[0-9]{1,6})?')


async def for_partner(partner_id: int) -> dict[str, Product]:
    """All products of this MSP by code, those that are no longer sold too; its own goes before a sample."""
    shared = Q(partner_id__isnull=True) | Q(partner_id=partner_id)
    found = await Product.filter(shared).using_db(reader())
    there = {product.code for product in found if product.partner_id is None}
    if any(code not in there for code, *_ in CATALOGUE):  # the first to ask makes the samples
        return await load_catalogue(partner_id)
    return by_code(found)


async def prices_of(partner_id: int, catalogue: Mapping[str, Product], *, within: Any = None) -> dict[str, Price]:
    """The price list of this MSP by code; `within` is the connection of a transaction."""
    codes = {product.id: code for code, product in catalogue.items()}
    listed = Price.filter(partner_id=partner_id, product_id__in=list(codes)).using_db(within or reader())
    return {codes[price.product_id]: price for price in await listed}


async def price_list(partner: Partner) -> list[dict[str, Any]]:
    """What the page of the price list shows, primary products first; prices are texts of decimals, '' where none."""
    catalogue = await for_partner(partner.id)
    prices = await prices_of(partner.id, catalogue)
    bought = CustomerProduct.filter(customer__partner_id=partner.id).annotate(customers=Count('id'))
    counts = dict(await bought.group_by('product_id').using_db(reader()).values_list('product_id', 'customers'))
    found = [
        {
            **_facts_of(product, prices.get(code), partner.currency), 'code': code, 'kind_title': product.kind.title,
            'is_sample': product.is_sample, 'is_own': product.partner_id is not None,
            'customers': counts.get(product.id, 0), 'elsewhere': _elsewhere(prices.get(code), partner.currency),
        }
        for code, product in catalogue.items()
    ]  # fmt: skip
    return sorted(found, key=lambda row: (not row['is_active'], row['kind'] != ProductKind.PRIMARY, row['name']))


def _facts_of(product: Product, price: Price | None, currency: str) -> dict[str, Any]:
    """What may be changed, as it is stored. A price of another currency is none: it says nothing in this one."""
    here = price if price is not None and price.currency == currency else None
    return {
        'name': product.name, 'kind': product.kind, 'connect_services': product.connect_services,
        **{rule: product.codes(rule) for rule in RULES}, 'is_active': product.is_active,
        'price': shown(here.unit_price, currency) if here else '', 'term': here.term if here else BillingTerm.MONTH,
        'one_time_fee': shown(here.one_time_fee, currency) if here and here.one_time_fee else '',
    }  # fmt: skip


def _elsewhere(price: Price | None, currency: str) -> str:
    """A price in the currency that the MSP had before, in words."""
    if price is None or price.currency == currency:
        return ''
    return f'{price.currency} {shown(price.unit_price, price.currency)}'


def any_of(products: Sequence[Product]) -> str:
    """The names with or between them, without those that only bring what the first does and more."""
    least = set(products[0].codes('capabilities'))
    more = [each.name for each in products[1:] if not least or not least <= set(each.codes('capabilities'))]
    names = [products[0].name, *more]
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} or {names[-1]}'


# -- verbs ------------------------------------------------------------------------------------------------------------


async def add_product(partner: Partner, facts: Mapping[str, Any], *, by: 'PortalUser') -> Product:
    """Add a product of the MSP's own, with its price if it has one. Raises `Invalid` and `Refused`."""
    _require(partner, by)
    wished = {'name': '', 'kind': ProductKind.ADD_ON, **facts}
    async with transaction() as connection:
        held = await _held(partner)
        catalogue = await load_catalogue(partner.id)
        if await Product.filter(partner_id=partner.id).count() >= MOST:
            raise checking.Impossible(f'There are {MOST} products already, and there can be no more.')
        problems, clean = checking.Problems(), {}
        with problems.noted():
            clean['code'] = _new_code('code', wished.pop('code', ''), catalogue)
        with problems.noted():
            clean |= _checked(wished, catalogue, held.currency, but=clean.get('code', ''))
        with problems.noted():
            _require_whole({**_NOTHING, **clean})
        problems.refuse()
        product = Product(
            partner=held, code=clean['code'], name=clean['name'], kind=clean['kind'],
            connect_services=clean.get('connect_services', ''), is_active=clean.get('is_active', True),
            data={rule: clean.get(rule, []) for rule in RULES},
        )  # fmt: skip
        await product.save()
        await _set_price(connection, held, product, {**_NOTHING, **clean})
        said = f'{product.code} ({product.name}) was added to the catalogue'
        if clean.get('price'):
            said += f': {_priced(clean, held.currency)}'
        await _told(held, 'price.product_added', said, by, after=checking.as_data(clean), product=product.code)
    return product


async def change_product(
    partner: Partner, code: str, facts: Mapping[str, Any], *, was: Mapping[str, Any] | None, by: 'PortalUser'
) -> set[str]:
    """Change a product or its price; return the names of what differs. A shared sample becomes the MSP's own copy.

    `price` '' takes it out of the price list. Raises `Invalid`, `Refused`, LookupError where there is no such code,
    and `ChangedMeanwhile` where somebody else was quicker; then nothing is stored.
    """
    _require(partner, by)
    async with transaction() as connection:
        held = await _held(partner)
        catalogue = await load_catalogue(partner.id)
        product = catalogue[code]
        price = (await prices_of(partner.id, {code: product}, within=connection)).get(code)
        stored = _facts_of(product, price, held.currency)
        clean = _checked(facts, catalogue, held.currency, but=code)
        for rule in RULES:
            if rule in clean:  # in the order in which it was: the first that is needed is the one that is named
                kept = [one for one in stored[rule] if one in clean[rule]]
                clean[rule] = kept + [one for one in clean[rule] if one not in kept]
        before = checking.differing(stored, clean, was)
        if not before:
            return set()
        after = {field: clean[field] for field in before}
        _require_whole({**stored, **after})
        if any(field not in _PRICE for field in before):
            product = await _own(connection, held, product)
            rules = {rule: after[rule] for rule in RULES if rule in after}
            product.data = {**(product.data if isinstance(product.data, dict) else {}), **rules}
            product.update_from_dict({f: v for f, v in after.items() if f not in _PRICE and f not in RULES})
            await product.save()
        if any(field in _PRICE for field in before):
            await _set_price(connection, held, product, {**stored, **after})
        said = f'{code} ({product.name}) – {checking.in_words(TITLES, _as_told(before), _as_told(after))}'
        await _told(
            held, 'price.changed', said, by, before=checking.as_data(before), after=checking.as_data(after),
            product=code, currency=held.currency,
        )  # fmt: skip
    return set(before)


_NOTHING: dict[str, Any] = {'price': '', 'term': BillingTerm.MONTH, 'one_time_fee': ''}


def _require(partner: Partner, by: 'PortalUser') -> None:
    rights.require(by, 'price.change')
    if by.partner_id != partner.id:
        raise rights.Refused('This is the price list of another MSP.')


async def _held(partner: Partner) -> Partner:
    """The MSP as it is now; whoever else changes its catalogue waits."""
    return await Partner.filter(id=partner.id).select_for_update(no_key=True).get()


async def _own(connection: Any, partner: Partner, product: Product) -> Product:
    """The MSP's own product: of a shared sample a copy, which its customers have and its price is of from now on."""
    from models.customer import Customer

    if product.partner_id is not None:
        return product
    own = Product(
        partner=partner, code=product.code, name=product.name, kind=product.kind, is_active=product.is_active,
        connect_services=product.connect_services, data=product.data,
    )  # fmt: skip
    await own.save()
    theirs = Subquery(Customer.filter(partner_id=partner.id).values('id'))
    bought = CustomerProduct.filter(product_id=product.id, customer_id__in=theirs).using_db(connection)
    await bought.update(product_id=own.id)
    await Price.filter(partner_id=partner.id, product_id=product.id).using_db(connection).update(product_id=own.id)
    return own


async def _set_price(connection: Any, partner: Partner, product: Product, facts: Mapping[str, Any]) -> None:
    listed = Price.filter(partner_id=partner.id, product_id=product.id).using_db(connection)
    if facts['price'] == '':
        await listed.delete()
        return
    found = await listed.first() or Price(partner=partner, product=product)
    found.unit_price = Decimal(facts['price'])
    found.one_time_fee = Decimal(facts['one_time_fee'] or 0)
    found.term, found.currency = facts['term'], partner.currency
    await found.save()


async def _told(partner: Partner, kind: str, said: str, by: 'PortalUser', **data: Any) -> None:
    await HistoryEvent.add(partner.id, kind, said, by=by, **data)
    events.PARTNER_CHANGED.emit(partner.id)
    events.MANY_CHANGED.emit(partner.id)  # what every customer could have is worked out from the price list


def _as_told(facts: Mapping[str, Any]) -> dict[str, Any]:
    said = {True: 'yes', False: 'no'}
    return {
        field: said[value] if isinstance(value, bool)
        else ' and '.join(SERVICES[letter] for letter in value) if field == 'connect_services'
        else value
        for field, value in facts.items()
    }  # fmt: skip


def _priced(facts: Mapping[str, Any], currency: str) -> str:
    said = f'{currency} {facts["price"]} a licence, billed {facts.get("term", BillingTerm.MONTH).title.lower()}'
    return f'{said}, {currency} {facts["one_time_fee"]} once' if facts.get('one_time_fee') else said


# -- what the facts may be --------------------------------------------------------------------------------------------


def _checked(facts: Mapping[str, Any], catalogue: Mapping[str, Product], currency: str, *, but: str) -> dict[str, Any]:
    """The facts as they would be stored; raises `Invalid` with all that cannot be. `but` is the product's own code."""

    def check(field: str, value: Any) -> Any:
        if field == 'name':
            if not (name := checking.line(field, value, 120)):
                raise Invalid(field, 'is empty')
            return name
        if field == 'kind':
            return checking.one_of(field, value, ProductKind)
        if field == 'connect_services':
            return _services(field, value)
        if field in RULES:
            return _codes(field, value, catalogue, but)
        if field == 'is_active':
            if not isinstance(value, bool):
                raise Invalid(field, 'must be yes or no')
            return value
        if field in ('price', 'one_time_fee'):
            return money(field, value, currency)
        if field == 'term':
            return checking.one_of(field, value, BillingTerm)
        raise Invalid(str(field)[:40], 'is not a fact about a product')

    return checking.each(facts, check)


def _require_whole(facts: Mapping[str, Any]) -> None:
    if facts['one_time_fee'] and facts['price'] == '':
        raise Invalid('price', 'is needed where there is a one-time fee; 0 where that is all')


def money(field: str, value: object, currency: str, highest: Decimal = HIGHEST) -> str:
    """An amount of this currency as data have it (`2.60`); nothing, and of a fee also 0, is the empty text."""
    text = checking.line(field, value, 40)
    if not text:
        return ''
    digits = minor_units(currency)
    try:
        if not _AMOUNT.fullmatch(text):
            raise InvalidOperation
        amount = Decimal(text)
    except InvalidOperation:
        raise Invalid(field, f'{checking.quoted(text, 40)} is not an amount such as {EXAMPLES[digits]}') from None
    if amount > highest:
        raise Invalid(field, f'cannot be more than {highest:,}')
    if amount != round(amount, digits):
        some = f'cannot have more than {digits} digits' if digits else 'cannot have digits'
        raise Invalid(field, f'{some} behind the point in {currency}')
    return '' if field == 'one_time_fee' and not amount else shown(rounded(amount, currency), currency)


def _new_code(field: str, value: object, catalogue: Mapping[str, Product]) -> str:
    code = checking.line(field, value, 40)
    if not code:
        raise Invalid(field, 'is empty')
    if not _CODE.fullmatch(code):
        raise Invalid(field, 'can have up to 20 letters, digits and + - . _ /, and begins with a letter or a digit')
    if known := next((one for one in catalogue if one.lower() == code.lower()), ''):
        raise Invalid(field, f'{checking.quoted(known)} is the code of another product: {catalogue[known].name}')
    return code


def _services(field: str, value: object) -> str:
    letters = ''.join(str(one) for one in value) if isinstance(value, list | tuple) else str(value or '')
    if set(letters) - set(SERVICES):
        raise Invalid(field, f'{checking.quoted(letters, 40)} is none of {", ".join(SERVICES)}')
    return ''.join(letter for letter in SERVICES if letter in letters)


def _codes(field: str, value: object, catalogue: Mapping[str, Product], but: str) -> list[str]:
    def check(name: str, one: object) -> str:
        code = checking.line(name, one, 40)
        if code and code == but:
            raise Invalid(name, 'cannot be the product itself')
        if code and code not in catalogue:
            raise Invalid(name, f'{checking.quoted(code, 40)} is not in the catalogue')
        return code

    return checking.several(field, value, check)
