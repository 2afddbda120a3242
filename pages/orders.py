"""The order form of a prospect: what it begins with, its review, and what has become of it once it is submitted."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import Customer, Order, Partner, PortalUser, Prospect, order_form, ordering, sales_limit
from models.catalogue import for_partner, prices_of
from models.checking import Invalid, phone_shown
from models.currency import minor_units
from models.database import reader
from models.order_form import CITRIX, CITRIX_LABEL, INFRASTRUCTURE, Judged
from models.product import ProductKind
from models.rights import may
from pages import prospects
from pages.guard import viewer
from pages.prices import is_priced, told_of

CHANGE, SUBMIT = 'prospect.change', 'order.submit'


async def exists(user: PortalUser, typed: str) -> bool:
    """Whether there is an order form for this prospect (as an address names it) and this person."""
    return may(user, CHANGE) and await prospects.find(user, typed) is not None


async def order_page(id: str, user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    prospect = await prospects.find(who, id) if who is not None and may(who, CHANGE) else None
    if who is None or prospect is None:
        not_found()
        return
    config = {
        'me': who.id, 'id': prospect.id, 'citrix': [CITRIX, CITRIX_LABEL],
        'infrastructure': [[field, label, choices] for field, (label, choices) in INFRASTRUCTURE.items()],
        **await state_of(prospect, who),
    }  # fmt: skip
    Island('order.js', config).style('display: contents')


async def state_of(prospect: Prospect, user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now; without prices for who may not see them."""
    partner = await Partner.get(id=prospect.partner_id, using_db=reader())
    order, done = await ordering.draft_of(prospect), await ordering.submitted_of(prospect)
    facts = order_form.stored(order, prospect) if order else order_form.empty_for(prospect)
    facts |= {name: phone_shown(facts[name]) for name in ('lead_phone', 'main_phone')}
    lead = [facts['lead_first_name'], facts['lead_last_name'], facts['lead_email']]
    return {
        'prospect': {
            'name': prospect.name, 'domain': prospect.domain, 'state': prospect.state.value,
            'lost_because': prospect.lost_because, 'address': prospect.address, 'has_lead': any(lead),
        },
        'order': _about(order), 'facts': facts, 'done': await _done(done, prospect, user),
        # A customer has the domain already: that may be meant, and may be the same company a second time.
        'alike': [] if done else [
            each for each in await Prospect.alike(prospect.domain, user, but=prospect.id) if each['kind'] == 'customer'
        ],
        'catalogue': await _offered(partner, facts['products'], with_prices=may(user, 'price.see')),
        'currency': partner.currency, 'digits': minor_units(partner.currency),
        'limit': sales_limit.limit_of(user, partner),
        'may': {'submit': may(user, SUBMIT), 'prices': may(user, 'price.see'), 'set_prices': may(user, 'price.change')},
    }  # fmt: skip


def _about(order: Order | None) -> dict[str, Any] | None:
    if order is None:
        return None
    details = order.details if isinstance(order.details, dict) else {}
    by = details.get(ordering.SAVED_BY, order.created_by)
    return {'number': order.number, 'version': order.version, 'saved_by': by, 'changed_at': order.changed_at}


async def _done(order: Order | None, prospect: Prospect, user: PortalUser) -> dict[str, Any] | None:
    """The order by which the prospect became a customer, and which that is, where the viewer sees it."""
    if order is None:
        return None
    seen = await Customer.visible_to(user).filter(id=prospect.customer_id or 0).exists()
    return {
        'number': order.number, 'by': order.submitted_by, 'at': order.submitted_at,
        'customer': prospect.customer_id if seen else None,
    }  # fmt: skip


async def _offered(partner: Partner, chosen: list[str], *, with_prices: bool) -> list[dict[str, Any]]:
    """What can be chosen: what is sold and has a price, and whatever is chosen already, primary products first."""
    catalogue = await for_partner(partner.id)
    prices = await prices_of(partner.id, catalogue)
    found = [
        told_of(product, prices.get(code), partner.currency, with_price=with_prices)
        for code, product in catalogue.items()
        if code in chosen or (product.is_active and is_priced(prices.get(code), partner.currency))
    ]
    gone = [{'code': code, 'name': code, 'kind': ProductKind.ADD_ON.value, 'is_sample': False, 'is_priced': False,
             'price': '', 'term': '', 'one_time': ''} for code in chosen if code not in catalogue]  # fmt: skip
    return sorted(found, key=lambda row: (row['kind'] != ProductKind.PRIMARY, row['name'])) + gone


async def fees_of(prospect: Prospect, user: PortalUser, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What would be paid for what is typed, and what does not go together: `lines` and `fees` (none for who may not see
    prices), and `problems` of the products by field."""
    partner = await Partner.get(id=prospect.partner_id, using_db=reader())
    try:
        facts = {**order_form.empty_for(prospect), **order_form.clean(typed)}
    except Invalid as error:
        return {'lines': None, 'fees': None, 'problems': error.errors}
    found = await ordering.judge(partner, facts)
    said = {each.field: each.message for each in reversed(found.problems.found)}
    problems = {field: said[field] for field in said if field.startswith(('product ', 'quantity '))}
    return _amounts(found, user) | {'problems': problems}


def _amounts(found: Judged, user: PortalUser) -> dict[str, Any]:
    if not may(user, 'price.see'):
        return {'lines': None, 'fees': None}
    return {'lines': found.lines_data, 'fees': found.fees.as_data()}


async def review_of(prospect: Prospect, user: PortalUser) -> dict[str, Any]:
    """The agreement block, to be read before submitting; raises `Invalid` with all that the order lacks."""
    partner = await Partner.get(id=prospect.partner_id, using_db=reader())
    order, found = await ordering.review(partner, prospect)
    facts = order_form.stored(order, prospect)
    main = 'lead' if facts['main_is_lead'] else 'main'
    bought = [[each.name, each.code, each.quantity] for each in found.lines]
    return {
        'number': order.number, 'version': order.version, 'msp': partner.name, 'company': prospect.name,
        'domain': prospect.domain, 'seats': order.seats, 'products': bought, 'currency': found.fees.currency,
        'agreement': partner.agreement, 'infrastructure': order_form.infrastructure_said(facts),
        'lead': _person(facts, 'lead'), 'main': _person(facts, main), 'lead_email': facts['lead_email'],
        'po': 'Not required' if order.po_waived else order.po_number, 'mails': bool(partner.smtp_host),
        'above': sales_limit.why_above(order, partner, user),
        **_amounts(found, user),
    }  # fmt: skip


def _person(facts: Mapping[str, Any], whose: str) -> list[str]:
    phone = facts[f'{whose}_phone']
    said = (order_form.name_of(facts, whose), facts[f'{whose}_email'], phone_shown(phone) if phone else '')
    return [each for each in said if each]
