"""What a customer could have besides what it has, and why something is not possible now (domain.md 1.9)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from models.catalogue import any_of, for_partner, prices_of
from models.changing import why_no_upgrade
from models.database import reader
from models.partner import Partner
from models.price import BillingTerm, Price
from models.product import CustomerProduct, Product, ProductKind

if TYPE_CHECKING:
    from models.customer import Customer


@dataclass(frozen=True)
class Option:
    """A product that the customer has not got; `why` says why it is not available."""

    code: str
    name: str
    kind: ProductKind
    price: Decimal | None  # a seat and `term`
    currency: str
    available: bool
    why: str = ''
    replaces: tuple[str, ...] = ()  # names of products in whose place it would come
    term: BillingTerm = BillingTerm.MONTH


async def options(customer: 'Customer') -> list[Option]:
    """Every active product that the customer has not got: the available ones first, by kind and name."""
    catalogue = await for_partner(customer.partner_id)
    prices = await prices_of(customer.partner_id, catalogue)
    bought = CustomerProduct.filter(customer_id=customer.id).using_db(reader())
    codes = [str(code) for code in await bought.values_list('product__code', flat=True)]
    held = {code: catalogue[code] for code in codes if code in catalogue}
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    nothing = why_no_upgrade(customer, partner).removesuffix('.')
    found = []
    for product in catalogue.values():
        if not product.is_active or product.code in held:
            continue
        price = prices.get(product.code)
        why = nothing or _why_not(product, held, catalogue, prices)
        replaced = () if why else tuple(held[code].name for code in product.codes('replaces') if code in held)
        found.append(Option(
            product.code, product.name, product.kind, price.unit_price if price else None,
            price.currency if price else '', not why, why, replaced,
            price.term if price else BillingTerm.MONTH,
        ))  # fmt: skip
    return sorted(found, key=lambda o: (not o.available, o.kind != ProductKind.PRIMARY, o.name))


def _why_not(
    product: Product, held: dict[str, Product], catalogue: dict[str, Product], prices: dict[str, Price]
) -> str:
    """Why the product is not available, what can be done about it first; empty where it is."""
    for code in product.codes('excludes'):
        if code in held:
            return f'Not together with {held[code].name}'
    primary = [other for other in held.values() if other.kind == ProductKind.PRIMARY]
    if product.kind == ProductKind.ADD_ON and not primary:
        return 'Needs a primary product first'
    needs = [code for code in product.codes('requires') if code in catalogue]
    if needs and not any(code in held for code in needs):
        return f'Needs {any_of([catalogue[code] for code in needs])}'
    for other in primary:
        if other.code not in prices:
            # domain.md 1.9: nothing can be changed whose primary product is not in the current price list.
            return f'{other.name}, which the customer has, is not in your price list'
    return '' if product.code in prices else 'Not in your price list'
