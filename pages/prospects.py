"""Potential customers: their list, the form in which one is written down, and what the page of one shows."""

from typing import Any

from nicegui import ui
from tortoise.expressions import Q, RawSQL
from tortoise.functions import Lower

from components.frame import not_found
from components.island import Island
from components.live_table import Choice, LiveTable
from models import (
    CompanyType,
    Customer,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalUser,
    Product,
    ProductKind,
    Prospect,
    ProspectState,
    Sector,
)
from models.catalogue import for_partner, prices_of
from models.checking import phone_shown
from models.database import reader, rows
from models.dns_asking import Found
from models.history_reading import of_prospect
from models.mail_platforms import likely
from models.product import CATALOGUE
from models.prospect import NEEDED, PENDING, PHONES, TITLES
from models.rights import may
from pages.acting import whole
from pages.guard import viewer
from pages.prices import is_priced

SEE, CHANGE = 'prospect.see', 'prospect.change'
FACTS = (
    'company_type', 'name', 'domain', 'website', 'sector', 'phone', 'address', 'lead_first_name', 'lead_last_name',
    'lead_email', 'lead_phone', 'seats', 'products', 'remarks',
)  # fmt: skip
EXPLAINED = (
    'A prospect is a company that may become a customer and has not ordered yet. Write down what you know of it; '
    'its order makes a customer of it, and nothing has to be typed twice.'
)
HISTORY = 50  # entries that the page of a prospect shows


async def find(user: PortalUser, typed: str) -> Prospect | None:
    """The prospect of an address, through the one door; None where there is none or it is not theirs."""
    number = whole(typed)
    return None if number is None else await Prospect.visible_to(user).get_or_none(id=number)


# -- the list ---------------------------------------------------------------------------------------------------------


class ProspectColumn:
    """A column that is not one field; the last of them fills in all that a row has of them."""

    def __init__(self, name: str, heading: str, order: Any, **described: Any) -> None:
        self.name, self.heading, self.kind, self._order = name, heading, 'text', order
        self.described = described

    def order(self, user: PortalUser) -> Any:
        return self._order

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        """Nothing: `ProvisionColumn` reads each prospect once for all columns."""

    def text(self, row: dict[str, Any]) -> Any:
        return row[self.name]


class ProvisionColumn(ProspectColumn):
    """The way to the order, for those who may write one; a file has the number of the order instead."""

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        ids = [row['id'] for row in found]
        known = {each.id: each for each in await Prospect.filter(id__in=ids).using_db(reader())}
        ordered = Order.filter(prospect_id__in=ids, kind=OrderKind.NEW).using_db(reader())
        orders = {order.prospect_id: order for order in await ordered.order_by('id')}
        for row in found:
            if (prospect := known.get(row['id'])) is None:
                row.update(domain='', mark=None, products='', lead='', state='', order=None, order_number='')
                continue
            order = orders.get(prospect.id)
            row |= {
                'domain': prospect.domain, 'mark': _mark(prospect), 'products': ', '.join(prospect.products),
                'lead': lead_of(prospect), 'state': prospect.state.title, 'seats': prospect.seats or None,
                'order': _way_to_order(user, prospect, order), 'order_number': order.number if order else '',
            }  # fmt: skip

    def text(self, row: dict[str, Any]) -> Any:
        return row['order_number']


def lead_of(prospect: Prospect) -> str:
    name = f'{prospect.lead_first_name} {prospect.lead_last_name}'.strip()
    return name or prospect.lead_email


def _mark(prospect: Prospect) -> tuple[str, str, str] | None:
    """Shape, tone and word of what DNS said of the domain."""
    if (found := prospect.found) is None:
        return None
    tone, said = standing_of(found)
    return {'good': 'good', 'bad': 'bad'}.get(tone, 'unknown'), tone, said


def _way_to_order(user: PortalUser, prospect: Prospect, order: Order | None) -> dict[str, str] | None:
    if not may(user, CHANGE) or not prospect.is_pending:
        return None
    saved = order is not None and order.state == OrderState.DRAFT
    tip = f'Go on with {order.number}, which is saved' if order is not None and saved else 'Order for this prospect'
    return {'text': 'Provision', 'href': f'/prospects/{prospect.id}/order', 'tip': tip}


_BY_PRODUCTS = RawSQL('REPLACE(CAST("prospect"."products" AS TEXT),\'[]\',\'\')')
PROVISION = 'order'
CHOICE = Choice('Show', {
    '': ('Open and drafts', Q(state__in=list(PENDING))),
    **{state.value: (title, Q(state=state)) for state, title in (
        (ProspectState.OPEN, 'Open'), (ProspectState.DRAFT, 'Drafts'), (ProspectState.LOST, 'Lost'),
        (ProspectState.CONVERTED, 'Converted'),
    )},
    'all': ('All', Q(id__gt=0)),
})  # fmt: skip


table = LiveTable(
    'prospects', Prospect, [
        'name', ProspectColumn('domain', 'Domain', 'domain', marks='mark'), 'seats',
        ProspectColumn('products', 'Products of interest', _BY_PRODUCTS),
        ProspectColumn('lead', 'Implementation lead', Lower('lead_last_name')),
        ProspectColumn('state', 'State', RawSQL(Prospect.ORDERS['state'])), 'changed_at',
        ProvisionColumn(PROVISION, 'Order', RawSQL(
            '(SELECT MAX(o."id") FROM "customer_order" o WHERE o."prospect_id"="prospect"."id")'
        ), kind='action'),
    ],
    Prospect.visible_to, noun='prospects', links={'name': '/prospects/{id}'}, narrow=('state',), right=SEE,
    yields=('products', 'lead', 'changed_at'), searched='company, domain or implementation lead',
    spelled={'products': {code: name for code, name, *_ in CATALOGUE}}, told_to=lambda user: _told_to(user),
    tools=({'text': 'New prospect', 'href': '/prospects/new', 'right': CHANGE, 'icon': 'plus', 'main': True},),
    choice=CHOICE, told_by='prospects',
)  # fmt: skip


def _told_to(user: PortalUser) -> dict[str, Any]:
    """What an empty list says; and nobody is shown a column in which there is nothing for them."""
    columns = [each for each in table.config_columns() if may(user, CHANGE) or each['name'] != PROVISION]
    explained = EXPLAINED if user.sees_all else f'{EXPLAINED} You see those that you have added yourself.'
    return {'explained': explained, 'columns': columns}


# -- the page of one --------------------------------------------------------------------------------------------------


async def new_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or not may(who, CHANGE):
        not_found()
        return
    blank = Prospect(partner_id=who.partner_id, name='')
    config = {'id': None, 'me': who.id, 'state': {'facts': facts_of(blank), 'may_change': True}}
    Island('prospects.js', config | await choices(who)).style('display: contents')


async def prospect_page(id: str, user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    prospect = await find(who, id) if who is not None and may(who, SEE) else None
    if who is None or prospect is None:
        not_found()
        return
    config = {'id': prospect.id, 'me': who.id, 'state': await state_of(prospect, who)}
    Island('prospects.js', config | await choices(who)).style('display: contents')


async def choices(user: PortalUser) -> dict[str, Any]:
    """What can be chosen in the form."""

    def place(product: Product) -> tuple[bool, str]:
        return product.kind != ProductKind.PRIMARY, product.name

    catalogue = await for_partner(user.partner_id)
    prices = await prices_of(user.partner_id, catalogue)
    currency = (await Partner.get(id=user.partner_id, using_db=reader())).currency
    sold = sorted((product for product in catalogue.values() if product.is_active), key=place)
    return {
        'types': [[kind.value, kind.title] for kind in CompanyType],
        'sectors': [[each.value, each.title] for each in sorted(Sector, key=_sector_place)],
        'products': [
            [each.code, each.name, each.kind.title, each.is_sample, is_priced(prices.get(each.code), currency)]
            for each in sold
        ],
        'titles': TITLES,
        'names': {code: product.name for code, product in catalogue.items()},
    }  # fmt: skip


def _sector_place(sector: Sector) -> tuple[int, str]:
    return {Sector.UNKNOWN: 0, Sector.OTHER: 2}.get(sector, 1), sector.title


def facts_of(prospect: Prospect) -> dict[str, Any]:
    phones = {name: phone_shown(getattr(prospect, name)) for name in PHONES}
    return {name: getattr(prospect, name) for name in FACTS} | phones


async def state_of(prospect: Prospect, user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now, for this person."""
    is_whose = may(user, CHANGE)
    return {
        'facts': facts_of(prospect), 'state': prospect.state, 'state_title': prospect.state.title,
        'missing': [TITLES[name] for name in prospect.missing], 'needed': NEEDED,
        'lost_because': prospect.lost_because, 'found': told_of(prospect.found, prospect.domain_checked_at),
        'alike': await Prospect.alike(prospect.domain, user, but=prospect.id) if prospect.is_pending else [],
        'customer': await _customer(prospect, user), 'orders': await _orders(prospect, user),
        'history': await of_prospect(prospect.partner_id, prospect.id, since=prospect.created_at, limit=HISTORY),
        'created_by': prospect.created_by, 'created_at': prospect.created_at,
        'may_change': is_whose and prospect.is_pending, 'may_move': is_whose and prospect.customer_id is None
        and prospect.state != ProspectState.CONVERTED,
    }  # fmt: skip


async def _customer(prospect: Prospect, user: PortalUser) -> dict[str, Any] | None:
    """The customer that it became, for those who see that one."""
    if prospect.customer_id is None:
        return None
    found = await rows(Customer.visible_to(user).filter(id=prospect.customer_id).values('id', 'name'))
    return found[0] if found else None


async def _orders(prospect: Prospect, user: PortalUser) -> list[dict[str, Any]]:
    """Its orders, the newest first; one that is not submitted yet leads to its form."""
    found = Order.visible_to(user).filter(prospect_id=prospect.id, kind=OrderKind.NEW).order_by('-id')
    return [
        {
            'number': order.number, 'state': order.state, 'title': order.state.title,
            # What says the same as the portal's side is not said twice.
            'vendor': '' if order.state in (OrderState.DRAFT, order.vendor.value) else order.vendor.title,
            'seats': order.seats,
            'at': order.submitted_at or order.changed_at, 'by': order.submitted_by or order.created_by,
        }
        for order in await found.limit(10)
    ]  # fmt: skip


# -- what DNS said, for people ----------------------------------------------------------------------------------------


def standing_of(found: Found) -> tuple[str, str]:
    """A tone (good, bad, unknown) and a sentence."""
    if found.exists is None:
        return 'unknown', f'DNS could not be asked. {found.error}'
    if found.error or found.exists is False:
        return 'bad', found.error or f'There is no domain {found.domain}.'
    if found.takes_no_mail:
        return 'bad', f'{found.domain} is there, and says that it takes no mail.'
    if not found.mx:
        return 'unknown', f'{found.domain} is there, but no MX record says where its mail goes.'
    return 'good', f'{found.domain} is there and takes mail.'


def told_of(found: Found | None, at: Any = None) -> dict[str, Any] | None:
    """What the page says of it."""
    if found is None:
        return None
    tone, said = standing_of(found)
    return {
        'domain': found.domain, 'tone': tone, 'said': said, 'at': at, 'is_known': found.exists is not None,
        'mx': found.mx if found.exists and not found.takes_no_mail else [], 'spf': found.spf,
        'has_answer': bool(found.exists), 'looks_like': likely(found.mx, found.spf),
    }  # fmt: skip
