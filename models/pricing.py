"""What an order costs, to the last minor unit of its currency (domain.md 1.8).

A line is rounded, half up, and what is added up are the rounded lines: so the sums of a document are right for whoever
adds its lines up by hand. Nothing here is ever a float.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from models.currency import minor_units
from models.price import BillingTerm, Price
from models.product import Product

NOTHING = Decimal(0)
# What the sums are called wherever they stand: in forms (`ordering.js`), documents, and on the page of a customer.
TITLES = {
    'monthly': 'Monthly fees', 'annual': 'Annual fees', 'one_time': 'One-time (up front) fees',
    'initial': 'First payment',
}  # fmt: skip
PERMITTED = 'Licences (permitted users)'  # as the agreement speaks of them


@dataclass(frozen=True)
class Line:
    """A line of an order. What the quantity costs is `monthly` or `annual`, as `term` says; the other is nothing."""

    code: str
    name: str
    quantity: int  # negative for what a change takes away
    unit_price: Decimal  # for a seat and a `term`
    term: BillingTerm
    one_time: Decimal
    monthly: Decimal
    annual: Decimal
    currency: str

    def as_data(self) -> dict[str, Any]:
        """As an order keeps it: amounts are texts of decimals."""
        amounts = {name: shown(getattr(self, name), self.currency) for name in ('one_time', 'monthly', 'annual')}
        return {
            'code': self.code, 'name': self.name, 'quantity': self.quantity,
            'unit_price': shown(self.unit_price, self.currency), 'term': self.term.value, **amounts,
        }  # fmt: skip

    @classmethod
    def of_data(cls, data: Mapping[str, Any], currency: str) -> 'Line':
        """A line as an order kept it."""
        return cls(
            str(data['code']), str(data['name']), int(data['quantity']), Decimal(data['unit_price']),
            BillingTerm(data['term']), Decimal(data['one_time']), Decimal(data['monthly']), Decimal(data['annual']),
            currency,
        )  # fmt: skip


@dataclass(frozen=True)
class Fees:
    """The sums of an order. `initial` is the first payment: the first month, the first year, and what is paid once."""

    monthly: Decimal
    annual: Decimal
    one_time: Decimal
    currency: str

    @property
    def initial(self) -> Decimal:
        return self.monthly + self.annual + self.one_time

    def as_data(self) -> dict[str, str]:
        """As an order keeps them: texts of decimals."""
        names = ('monthly', 'annual', 'one_time', 'initial')
        return {name: shown(getattr(self, name), self.currency) for name in names}


def line(product: Product, price: Price, quantity: int, *, with_one_time_fee: bool = True) -> Line:
    """What this many of a product cost; `with_one_time_fee` is off for what the customer has had before."""
    sum_ = rounded(price.unit_price * quantity, price.currency)
    is_monthly = price.term == BillingTerm.MONTH
    once = price.one_time_fee if with_one_time_fee and quantity > 0 else NOTHING
    return Line(
        product.code, product.name, quantity, price.unit_price, price.term, rounded(once, price.currency),
        sum_ if is_monthly else NOTHING, NOTHING if is_monthly else sum_, price.currency,
    )  # fmt: skip


def fees(lines: Iterable[Line], currency: str = '') -> Fees:
    """The sums of these lines, which are all of one currency; `currency` is for when there are none."""
    lines = list(lines)
    currencies = {each.currency for each in lines} | ({currency} if currency else set())
    assert len(currencies) <= 1, f'amounts of {currencies} cannot be added up'
    return Fees(
        sum((each.monthly for each in lines), NOTHING), sum((each.annual for each in lines), NOTHING),
        sum((each.one_time for each in lines), NOTHING), next(iter(currencies), ''),
    )  # fmt: skip


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount with the digits that its currency has, half up (of what is taken away, half down)."""
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), ROUND_HALF_UP)


def shown(amount: Decimal, currency: str) -> str:
    """The amount as data and forms have it: `1234.50`, without the currency; never fewer digits than it has."""
    digits = max(minor_units(currency), -int(amount.normalize().as_tuple().exponent))
    return f'{amount:.{digits}f}'
