"""The form of a first order: its fields, what each may be, and what it takes to submit it (domain.md 1.8).

`clean` judges one field after the other and lets a draft be unfinished; `judged` judges the whole and says what it
costs. Nothing here is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models import checking
from models.catalogue import any_of
from models.checking import Invalid, Problems
from models.infrastructure import MailPlatform
from models.price import Price
from models.pricing import Fees, Line, fees, line
from models.product import Product, ProductKind

if TYPE_CHECKING:
    from models.order import Order
    from models.prospect import Prospect

MOST_PRODUCTS = 50
_OTHER = 'Other'
# The infrastructure block: label, and what can be chosen; the RFI form begins with it. What is stored is what is shown,
# but for the mail server, which the form goes by.
INFRASTRUCTURE: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    'mail_server': ('Mail server', tuple((each.value, each.title) for each in MailPlatform if each.value)),
    'archive_solution': ('Archive solution', tuple((each, each) for each in (
        'None', 'Microsoft 365 archive', 'Google Vault', 'Barracuda Message Archiver', 'GFI Archiver', 'MailStore',
        'Proofpoint Archive', 'Veritas Enterprise Vault', _OTHER,
    ))),
    'security_msp': ('Security, MSP (firewall)', tuple((each, each) for each in (
        'None', 'Barracuda', 'Cisco', 'Forcepoint', 'Google', 'Microsoft Defender for Office 365', 'Proofpoint',
        'Sophos', 'Trend Micro', _OTHER,
    ))),
    'security_onprem': ('Security, on-premise (firewall)', tuple((each, each) for each in (
        'None', 'Barracuda', 'Check Point', 'Cisco', 'Fortinet', 'Palo Alto Networks', 'SonicWall', 'Sophos',
        'WatchGuard', _OTHER,
    ))),
    'continuity': ('Continuity', tuple((each, each) for each in (
        'None', 'Part of the mail platform', 'A second mail server', 'A service for e-mail continuity', _OTHER,
    ))),
}  # fmt: skip
CITRIX = 'citrix_terminal_server'
CITRIX_LABEL = 'Citrix or terminal server'
LEAD = ('lead_first_name', 'lead_last_name', 'lead_email', 'lead_phone')
MAIN = ('main_first_name', 'main_last_name', 'main_email', 'main_phone')
FIELDS = (
    'seats', 'products', 'quantities', *INFRASTRUCTURE, CITRIX, *LEAD, 'main_is_lead', *MAIN, 'po_number', 'po_waived',
)  # fmt: skip


def empty_for(prospect: 'Prospect') -> dict[str, Any]:
    """What the form begins with: what the prospect says already."""
    return {
        **dict.fromkeys(FIELDS, ''), 'seats': prospect.seats or '', 'products': list(prospect.products or []),
        'quantities': {}, CITRIX: False, 'main_is_lead': True, 'po_waived': False,
        **{field: getattr(prospect, field) for field in LEAD},
    }  # fmt: skip


def stored(order: 'Order', prospect: 'Prospect') -> dict[str, Any]:
    """The fields of the form as the order has them."""
    details = order.details if isinstance(order.details, dict) else {}
    found = {**empty_for(prospect), **details.get('infrastructure', {}), **details.get('people', {})}
    return {
        **{field: found[field] for field in FIELDS}, 'seats': order.seats or '', 'products': list(order.products or []),
        'quantities': dict(details.get('quantities', {})), 'po_number': order.po_number, 'po_waived': order.po_waived,
    }  # fmt: skip


def put(order: 'Order', facts: Mapping[str, Any]) -> None:
    """Give the order what `clean` has made of the form."""
    order.seats, order.products = facts['seats'] or 0, facts['products']
    order.po_number, order.po_waived = facts['po_number'], facts['po_waived']
    order.details = {
        **(order.details if isinstance(order.details, dict) else {}),
        'infrastructure': {field: facts[field] for field in (*INFRASTRUCTURE, CITRIX) if facts[field]},
        'people': {field: facts[field] for field in (*LEAD, 'main_is_lead', *MAIN)},
        'quantities': facts['quantities'],
    }  # fmt: skip


# -- one field after the other ----------------------------------------------------------------------------------------


def clean(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they would be stored; raises `Invalid` with all that cannot be. What is empty may stay so."""
    found = checking.each(facts, checked)
    # A number that is not the one of all licences only, and of what is ordered only.
    seats, quantities = found.get('seats'), found.get('quantities', {})
    ordered = set(found.get('products', ()))
    found['quantities'] = {code: n for code, n in quantities.items() if code in ordered and n != seats}
    if found.get('po_waived'):
        found['po_number'] = ''
    if found.get('main_is_lead'):
        found |= dict.fromkeys(MAIN, '')
    return found


def checked(name: str, value: Any) -> Any:
    """One field as it would be stored; what is empty may stay so."""
    field = str(name)
    if field == 'seats':
        return _number(field, value)
    if field == 'products':
        codes = checking.several(field, value, lambda name, one: checking.line(name, one, 20))
        if len(codes) > MOST_PRODUCTS:
            raise Invalid(field, f'cannot have more than {MOST_PRODUCTS} entries')
        return codes
    if field == 'quantities':
        if not isinstance(value, dict) or len(value) > MOST_PRODUCTS:
            raise Invalid(field, 'is not a set of numbers')
        return {str(code)[:20]: n for code, one in value.items() if (n := _number(f'quantity {code}', one)) != ''}
    if field in INFRASTRUCTURE:
        text = checking.line(field, value, 120)
        if text and text not in dict(INFRASTRUCTURE[field][1]):
            raise Invalid(field, f'{checking.quoted(text, 40)} is none of those that can be chosen')
        return text
    if field in (CITRIX, 'main_is_lead', 'po_waived'):
        if not isinstance(value, bool):
            raise Invalid(field, 'must be yes or no')
        return value
    if field in ('lead_email', 'main_email'):
        return checking.email(field, value)
    if field in ('lead_phone', 'main_phone'):
        return checking.phone(field, value)
    if field in (*LEAD, *MAIN):
        return checking.line(field, value, 60)
    if field == 'po_number':
        return checking.line(field, value, 60)
    raise Invalid(field[:40], 'is not a field of the order')


def _number(field: str, value: Any) -> int | str:
    """A number of licences; nothing, and 0, is the empty text."""
    from models.customer import Customer

    if isinstance(value, bool) or value in (None, ''):
        return ''
    try:
        number = int(Customer.check(seats=value)['seats'])
    except Invalid as error:
        raise Invalid(field[:40], error.message) from None
    return number or ''


# -- the whole --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What an order costs, and all that is in the way of submitting it."""

    lines: list[Line]
    fees: Fees
    problems: Problems

    @property
    def lines_data(self) -> list[dict[str, Any]]:
        return [each.as_data() for each in self.lines]


def judged(
    facts: Mapping[str, Any], catalogue: Mapping[str, Product], prices: Mapping[str, Price], currency: str
) -> Judged:
    """The lines of what can be priced, primary products first, and what the form still lacks, field by field.

    `facts` are as `clean` has made them. A product that is at fault is the field `product CODE`.
    """
    problems = Problems()
    seats = facts['seats'] or 0
    if not seats:
        problems.found.append(Invalid('seats', 'must be at least 1'))
    lines = _lines(facts, catalogue, prices, currency, problems)
    lead_and_number(facts, problems)
    if not facts['main_is_lead'] and not facts['main_first_name'] and not facts['main_last_name']:
        problems.found.append(Invalid('main_last_name', 'is empty; say who the main contact is'))
    return Judged(lines, fees(lines, currency), problems)


def _lines(
    facts: Mapping[str, Any], catalogue: Mapping[str, Product], prices: Mapping[str, Price], currency: str,
    problems: Problems,
) -> list[Line]:  # fmt: skip
    chosen = {code: catalogue[code] for code in facts['products'] if code in catalogue}
    seats = facts['seats'] or 0
    found = []
    for code in facts['products']:
        with problems.noted():
            field = f'product {code}'
            if (product := catalogue.get(code)) is None:
                raise Invalid(field, f'{checking.quoted(code)} is not in your catalogue any more')
            price = prices.get(code)
            if price is not None and price.currency == currency and seats:
                found.append((product, line(product, price, _quantity(code, facts))))
            if why := _why_not(product, chosen, catalogue, price, currency):
                raise Invalid(field, why)
        with problems.noted():
            _quantity_fits(code, facts)
    if not any(product.kind == ProductKind.PRIMARY for product in chosen.values()):
        problems.found.append(Invalid('products', 'must have a primary product among them'))
    return [each for _, each in sorted(found, key=lambda one: (one[0].kind != ProductKind.PRIMARY, one[0].name))]


def _quantity(code: str, facts: Mapping[str, Any]) -> int:
    return facts['quantities'].get(code) or facts['seats'] or 0


def _quantity_fits(code: str, facts: Mapping[str, Any]) -> None:
    if _quantity(code, facts) > (facts['seats'] or 0) and facts['seats']:
        raise Invalid(f'quantity {code}', f'cannot be more than the {facts["seats"]:,} licences of the order')


def _why_not(
    product: Product, chosen: Mapping[str, Product], catalogue: Mapping[str, Product], price: Price | None,
    currency: str,
) -> str:  # fmt: skip
    """Why this product cannot be ordered together with the others; empty where it can."""
    if not product.is_active:
        return 'is not sold any more'
    for code in product.codes('excludes'):
        if code in chosen:
            return f'does not go together with {chosen[code].name}'
    needs = [code for code in product.codes('requires') if code in catalogue]
    if needs and not any(code in chosen for code in needs):
        return f'needs {any_of([catalogue[code] for code in needs])}'
    if price is None:
        return 'is not in your price list'
    if price.currency != currency:
        return f'has no price in {currency} yet'
    return ''


def lead_and_number(facts: Mapping[str, Any], problems: Problems) -> None:
    """Note what is missing of the implementation lead and of the order number."""
    if not facts['lead_first_name'] and not facts['lead_last_name']:
        problems.found.append(Invalid('lead_last_name', 'is empty; say who the implementation lead is'))
    if not facts['lead_email']:
        problems.found.append(Invalid('lead_email', 'is empty; the RFI form is sent to it'))
    if not facts['po_number'] and not facts['po_waived']:
        problems.found.append(Invalid('po_number', 'is empty; tick that none is required if that is so'))


def infrastructure_said(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The infrastructure block in words: label and answer of what was chosen."""
    said = [(label, dict(choices)[facts[field]]) for field, (label, choices) in INFRASTRUCTURE.items() if facts[field]]
    return [*said, (CITRIX_LABEL, 'Yes')] if facts[CITRIX] else said


def lines_about(facts: Mapping[str, Any], *, address: str, domain: str) -> list[str]:
    """What the document says below the name of the customer."""
    whom = ' · '.join(filter(None, (name_of(facts, 'lead'), facts['lead_email'])))
    lead = f'Implementation lead: {whom}' if whom else ''
    return list(filter(None, (*(each.strip() for each in address.splitlines()), domain, lead)))


def name_of(facts: Mapping[str, Any], whose: str) -> str:
    """The name of the lead (`lead`) or of the main contact (`main`)."""
    return f'{facts[f"{whose}_first_name"]} {facts[f"{whose}_last_name"]}'.strip()
