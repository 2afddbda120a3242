"""Customer | In Progress, Customer | Complete, those waiting for their RFI, and the page of one customer."""

from typing import Any

from nicegui import ui

from components.frame import not_found, page_head, text
from components.live_table import LiveTable
from models import ConsoleRole, Customer, DelegatedAccess, Health, Listing, MonitorKind, Partner, PortalUser, RfiIcon
from models.database import reader
from pages.guard import viewer
from pages.help import base


class RoleColumn:
    """The viewer's role in the customer's Administration Console."""

    name, heading, kind = 'role', 'Your role', 'text'

    def order(self, user: PortalUser) -> Any:
        return DelegatedAccess.role_order(user)

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        roles = await DelegatedAccess.roles_of(user, [row['id'] for row in found])
        for row in found:
            row['role'] = roles.get(row['id'], 'None')

    def text(self, row: dict[str, Any]) -> str:
        return row['role']


class ConsoleColumn:
    """The Admin Console button: on where the role is Partner Administrator, which is what delegated access means."""

    name, heading, kind = 'console', 'Admin Console', 'console'

    def order(self, user: PortalUser) -> Any:
        return DelegatedAccess.console_order(user)

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        for row in found:
            row['console'] = console_of(row['role'], row.pop('console_url', ''))

    def text(self, row: dict[str, Any]) -> str:
        return 'Yes' if 'url' in row['console'] else 'No'


def console_of(role: str, url: str) -> dict[str, str]:
    """Where the button leads, or why it is off."""
    if role != ConsoleRole.PARTNER_ADMINISTRATOR:
        return {
            'why': 'Delegated access needs the role Partner Administrator; '
            + ('you have none here.' if role == 'None' else f'yours is {role}.')
        }
    if not url.startswith('https://') and not url.startswith('http://'):
        return {'why': 'The address of this customer’s console is not known yet.'}
    return {'url': url}


async def waiting_note(user: PortalUser) -> dict[str, str]:
    """How many are not listed yet because their RFI has not come back (the reference page)."""
    if (await Partner.get(id=user.partner_id, using_db=reader())).lists_unsent_rfi:
        return {}
    waiting = await Customer.listed(user, Listing.WAITING).count()
    if not waiting:
        return {}
    who = 'customer is' if waiting == 1 else 'customers are'
    return {
        'text': f'{waiting:,} {who} waiting for the RFI and not listed here.',
        'link': 'Show',
        'href': '/customers/waiting',
    }


FACTS = ('name', 'seats', 'account_type', 'products_in_short')
ICONS = tuple(kind.value for kind in MonitorKind)
MORE = ('account_code', 'domain')
LINKS = {'name': '/customers/{id}', 'connect_status': base() + '/connect/{connect_key}', 'rfi': '/customers/{id}#rfi'}

in_progress = LiveTable(
    'in-progress', Customer, [*FACTS, 'connect_status', 'rfi', RoleColumn(), ConsoleColumn(), *MORE],
    Customer.listed_in_progress, links=LINKS, hidden=MORE, note=waiting_note,
    narrow=('connect_status', 'rfi'), carries=('console_url',),
)  # fmt: skip
complete = LiveTable(
    'complete', Customer, [*FACTS, *ICONS, RoleColumn(), ConsoleColumn(), 'worst', *MORE],
    lambda user: Customer.listed(user, Listing.COMPLETE), links=LINKS, hidden=('worst', *MORE), narrow=('worst',),
    carries=('console_url',),
)  # fmt: skip
waiting = LiveTable(
    'waiting', Customer, [*FACTS, 'rfi', 'connect_since', RoleColumn(), ConsoleColumn(), *MORE],
    lambda user: Customer.listed(user, Listing.WAITING), links=LINKS, hidden=MORE, narrow=('rfi',),
    carries=('console_url',),
)  # fmt: skip


def list_page(table: LiveTable, title: str) -> Any:
    """The builder of a page with nothing but this table. Not async: so the table is in the first answer."""

    def build(user: PortalUser) -> None:
        client = ui.context.client
        address = client.sub_pages_router.current_path

        async def keep_columns(state: Any) -> None:
            who = await viewer(client)
            if who is not None and (state is None or isinstance(state, dict)) and len(str(state)) < 20_000:
                await who.prefer(f'columns {table.key}', state)
                user.preferences = who.preferences

        with ui.element('div').classes('page page-list'):
            page_head(title)
            table.build(user, address, on_columns=keep_columns)

    return build


async def customer_page(id: str, user: PortalUser) -> None:
    """A plain page with the name and the facts of the lists; the cards come with a later part."""
    who = await viewer(ui.context.client)  # asked anew: what they may see can have changed since the page was opened
    customer = await find(who, id) if who is not None else None
    if who is None or customer is None:
        not_found()
        return
    role = (await DelegatedAccess.roles_of(who, [customer.id])).get(customer.id, 'None')
    with ui.element('div').classes('page-scroll'):
        page_head(customer.name)
        with ui.element('dl').classes('card facts'):
            for name, value in _facts(customer):
                text('dt', name)
                text('dd', value)
            text('dt', 'RFI').props('id=rfi')
            text('dd', RfiIcon(customer.rfi).title)
            text('dt', 'Your role')
            text('dd', role)
            text('dt', 'Admin Console')
            _console_button(customer, role)
        if customer.listing == Listing.COMPLETE:
            with ui.element('dl').classes('card facts'):
                for kind in MonitorKind:
                    text('dt', kind.title)
                    text('dd', Health(getattr(customer, kind)).title)


def _facts(customer: Customer) -> list[tuple[str, str]]:
    return [
        ('Account code', customer.account_code),
        ('Domain', customer.domain or '–'),
        ('Licences', f'{customer.seats:,}'),
        ('Account type', customer.account_type.title),
        ('Products', customer.products_in_short or '–'),
        ('Connect status', customer.connect_status),
    ]


def _console_button(customer: Customer, role: str) -> None:
    console = console_of(role, customer.console_url)
    with ui.element('dd'):
        if 'url' in console:
            link = text('a', 'Admin Console', 'button small').props('target=_blank rel="noopener noreferrer"')
            link._props['href'] = console['url']
        else:
            text('span', console['why'], 'quiet')


async def find(user: PortalUser, typed: str) -> Customer | None:
    """The customer of an address, through the one door; None where there is none or it is not theirs."""
    if not typed.isascii() or not typed.isdecimal() or len(typed) > 9:
        return None
    return await Customer.visible_to(user).get_or_none(id=int(typed))
