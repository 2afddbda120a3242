"""What a customer could have besides what it has, and why something is not possible now (domain.md 1.9)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from models.customer import Listing
from models.database import reader
from models.price import Price
from models.product import CustomerProduct, Product, ProductKind

if TYPE_CHECKING:
    from models.customer import Customer


@dataclass(frozen=True)
class Option:
    """A product that the customer has not got; `why` says why it is not available."""

    code: str
    name: str
    kind: ProductKind
    price: Decimal | None  # a seat and month
    currency: str
    available: bool
    why: str = ''
    replaces: tuple[str, ...] = ()  # names of products in whose place it would come


async def options(customer: 'Customer') -> list[Option]:
    """Every active product that the customer has not got: the available ones first, by kind and name."""
    products = {product.id: product for product in await Product.all().using_db(reader())}
    prices = {
        price.product_id: price for price in await Price.filter(partner_id=customer.partner_id).using_db(reader())
    }
    bought = CustomerProduct.filter(customer_id=customer.id).using_db(reader())
    held = {
        products[row.product_id].code: products[row.product_id] for row in await bought if row.product_id in products
    }
    by_code = {product.code: product for product in products.values()}
    found = []
    for product in products.values():
        if not product.is_active or product.code in held:
            continue
        price = prices.get(product.id)
        why = _why_not(customer, product, held, by_code, prices)
        replaced = () if why else tuple(held[code].name for code in _codes(product, 'replaces') if code in held)
        found.append(Option(
            product.code, product.name, product.kind, price.unit_price if price else None,
            price.currency if price else '', not why, why, replaced,
        ))  # fmt: skip
    return sorted(found, key=lambda o: (not o.available, o.kind != ProductKind.PRIMARY, o.name))


def _why_not(
    customer: 'Customer', product: Product, held: dict[str, Product], by_code: dict[str, Product],
    prices: dict[int, Price],
) -> str:  # fmt: skip
    """Why the product is not available, what can be done about it first; empty where it is."""
    if customer.listing == Listing.WAITING:
        return 'Possible once the RFI has come back'
    for code in _codes(product, 'excludes'):
        if code in held:
            return f'Not together with {held[code].name}'
    primary = [other for other in held.values() if other.kind == ProductKind.PRIMARY]
    if product.kind == ProductKind.ADD_ON and not primary:
        return 'Needs a primary product first'
    needs = [code for code in _codes(product, 'requires') if code in by_code]
    if needs and not any(code in held for code in needs):
        return f'Needs {_any_of([by_code[code] for code in needs])}'
    for other in primary:
        if other.id not in prices and other.code not in _codes(product, 'replaces'):
            # domain.md 1.9: nothing can be changed whose primary product is not in the current price list.
            return f'{other.name}, which the customer has, is not in your price list'
    return '' if product.id in prices else 'Not in your price list'


def _any_of(products: list[Product]) -> str:
    """The names with or between them, without those that only bring what the first does and more."""
    least = _capabilities(products[0])
    names = [products[0].name, *(p.name for p in products[1:] if not least or not least <= _capabilities(p))]
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} or {names[-1]}'


def _capabilities(product: Product) -> set[str]:
    return set(_codes(product, 'capabilities'))


def _codes(product: Product, rule: str) -> list[str]:
    """What the product's data says; it is edited by hand, and what is no list says nothing."""
    data: Any = product.data
    found = data.get(rule) if isinstance(data, dict) else None
    return [str(one) for one in found] if isinstance(found, list) else []
