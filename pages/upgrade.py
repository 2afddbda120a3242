"""The change order of a customer: what its page begins with, the preview while one types, and its review."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import ChangeMode, Customer, Order, Partner, PortalUser, calendar, change_form, changing, sales_limit
from models.catalogue import for_partner, prices_of
from models.change_form import Held, Judged
from models.changing import said_day
from models.checking import Invalid
from models.currency import minor_units
from models.database import reader
from models.product import Product, ProductKind
from models.rights import may
from pages.acting import find
from pages.guard import viewer
from pages.prices import is_priced, told_of

CHANGE, SUBMIT = 'prospect.change', 'order.submit'
MODES = (
    (ChangeMode.KEEP, 'Licences and add-ons change, the primary product stays.'),
    (ChangeMode.ADD, 'Another primary product comes beside it, or in its place where it is a part of it.'),
    (ChangeMode.SELECT_NEW, 'The primary product goes, and another one comes in its place.'),
)


async def exists(user: PortalUser, typed: str) -> bool:
    """Whether there is this page for this customer (as an address names it) and this person."""
    return may(user, CHANGE) and await find(user, typed) is not None


async def upgrade_page(id: str, user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    customer = await find(who, id) if who is not None and may(who, CHANGE) else None
    if who is None or customer is None:
        not_found()
        return
    config = {
        'me': who.id, 'id': customer.id, 'modes': [[mode.value, mode.title, about] for mode, about in MODES],
        **await state_of(customer, who),
    }  # fmt: skip
    Island('upgrade.js', config).style('display: contents')


async def state_of(customer: Customer, user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now; without prices for who may not see them."""
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    held, submitted = await changing.held_by(customer), await changing.under_way(customer)
    sees_prices = may(user, 'price.see')
    return {
        'customer': {'name': customer.name, 'code': customer.account_code, 'seats': customer.seats},
        'why': changing.why_no_upgrade(customer, partner), 'waits_for': changing.why_not_submitted(submitted),
        'under_way': [_submitted(order, partner) for order in submitted],
        'quotes': [_quote(order, user) for order in await changing.quotes_of(customer)],
        'start': changing.start_of(customer, partner, held),
        'people': [[person.id, person.name] for person in (await changing.leads_of(customer)).values()],
        'today': calendar.today(partner).isoformat(),
        'catalogue': await _offered(partner, held, with_prices=sees_prices),
        'currency': partner.currency, 'digits': minor_units(partner.currency),
        'limit': sales_limit.limit_of(user, partner),
        'may': {
            'submit': may(user, SUBMIT), 'prices': sees_prices, 'set_prices': may(user, 'price.change'),
            'invite': may(user, 'user.manage'),
        },
    }  # fmt: skip


def _submitted(order: Order, partner: Partner) -> dict[str, Any]:
    return {
        'id': order.id, 'number': order.number, 'title': order.kind.title, 'by': order.submitted_by,
        'at': order.submitted_at, 'effective_on': order.effective_on, 'seats': order.seats,
        'vendor': order.vendor_said, 'waits': changing.waits_because(order, partner),
        'why_not_withdrawn': changing.why_not_withdrawn(order, partner), 'until': order.withdraw_until,
    }  # fmt: skip


def _quote(order: Order, user: PortalUser) -> dict[str, Any]:
    details = order.details if isinstance(order.details, dict) else {}
    fees = order.fees if may(user, 'price.see') else {}
    return {
        'id': order.id, 'number': order.number, 'version': order.version, 'facts': change_form.stored(order),
        'by': details.get(changing.SAVED_BY, order.created_by), 'at': order.changed_at, 'seats': order.seats,
        'products': order.products, 'monthly': fees.get('monthly_after', ''), 'currency': order.currency,
    }  # fmt: skip


async def _offered(partner: Partner, held: Held, *, with_prices: bool) -> list[dict[str, Any]]:
    """What the customer has and what can be chosen besides (what is sold and has a price), primary products first."""
    catalogue = await for_partner(partner.id)
    prices = await prices_of(partner.id, catalogue)
    found = [
        told_of(product, prices.get(code), partner.currency, with_price=with_prices)
        | {'has': held.quantities.get(code)}
        for code, product in catalogue.items()
        if code in held.quantities or (product.is_active and is_priced(prices.get(code), partner.currency))
    ]
    return sorted(found, key=lambda row: (row['kind'] != ProductKind.PRIMARY, row['has'] is None, row['name']))


# -- preview and review -----------------------------------------------------------------------------------------------


async def preview_of(customer: Customer, user: PortalUser, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What would change with what is typed: `lines` and `fees` (no amounts for who may not see prices, no sums while
    a price is missing), the `steps` to be set up, and `problems` by field."""
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    try:
        facts = change_form.clean(typed)
    except Invalid as error:
        return {'lines': None, 'fees': None, 'steps': [], 'problems': error.errors}
    start = changing.start_of(customer, partner, await changing.held_by(customer))
    found = await changing.judge(customer, partner, {**start, **facts})
    steps = await changing.to_set_up(customer, found.after, await for_partner(partner.id)) if found.added else []
    return _amounts(found, user) | {
        'steps': steps,
        'problems': {each.field: each.message for each in reversed(found.problems.found)},
    }


def _amounts(found: Judged, user: PortalUser) -> dict[str, Any]:
    if may(user, 'price.see'):
        return {'lines': found.lines_data, 'fees': found.fees if found.is_priced else None}
    plain = [{name: row[name] for name in ('code', 'name', 'quantity')} for row in found.lines_data]
    return {'lines': plain, 'fees': None}


async def review_of(customer: Customer, user: PortalUser, order_id: int) -> dict[str, Any]:
    """The change order summary, to be read before submitting; raises `Invalid` with all that the quote lacks."""
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    seen = await changing.review(customer, partner, order_id)
    order, today = seen.order, calendar.today(partner)
    can_withdraw = order.withdraw_until is not None and order.withdraw_until >= today
    return {
        'id': order.id, 'number': order.number, 'version': order.version, 'msp': partner.name,
        'company': customer.name, 'code': customer.account_code, 'was_seats': order.was_seats, 'seats': order.seats,
        'mode': order.mode.title, 'comes': _names(seen.found.added, seen.catalogue),
        'goes': _names(seen.found.removed, seen.catalogue),
        'steps': await changing.to_set_up(customer, seen.found.after, seen.catalogue) if seen.found.added else [],
        'lead': changing.lead_said(order).replace('\n', ' · '), 'effective_on': said_day(order.effective_on),
        'is_downsell': changing.is_downsell(order), 'bills': said_day(_next_bill(order)),
        'until': said_day(order.withdraw_until) if can_withdraw else '',
        'currency': seen.found.currency, 'agreement': partner.agreement,
        'po': 'Not required' if order.po_waived else order.po_number,
        'above': sales_limit.why_above(order, partner, user), **_amounts(seen.found, user),
    }  # fmt: skip


def _next_bill(order: Order) -> Any:
    """The first of a month on which the change is there already."""
    assert order.effective_on is not None
    day = order.effective_on
    return day if day.day == 1 else change_form.first_of_next_month(day)


def _names(codes: list[str], catalogue: Mapping[str, Product]) -> list[str]:
    return [catalogue[code].name if code in catalogue else code for code in codes]
