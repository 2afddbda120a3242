"""Customer | In Progress, Customer | Complete, those waiting for their RFI, and the page of one customer."""

from typing import Any

from nicegui import ui

from components.frame import page_head
from components.live_table import LiveTable
from models import ConsoleRole, Customer, DelegatedAccess, Listing, MonitorKind, Partner, PortalUser
from models.database import reader
from models.product import CATALOGUE
from pages.acting import hears
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


async def waiting_note(user: PortalUser) -> dict[str, str] | None:
    """How many are not listed yet because their RFI has not come back (the reference page); None if nobody is."""
    if (await Partner.get(id=user.partner_id, using_db=reader())).lists_unsent_rfi:
        return None
    waiting = await Customer.listed(user, Listing.WAITING).count()
    if not waiting:
        return None
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
PRODUCTS = {'products_in_short': {code: name for code, name, *_ in CATALOGUE}}
BEGINNING = {'text': 'How to import customers', 'href': base() + '/import/customers'}

in_progress = LiveTable(
    'in-progress', Customer, [*FACTS, 'connect_status', 'rfi', RoleColumn(), ConsoleColumn(), *MORE],
    Customer.listed_in_progress, links=LINKS, hidden=MORE, note=waiting_note,
    narrow=('connect_status', 'rfi'), carries=('console_url',), spelled=PRODUCTS, beginning=BEGINNING,
)  # fmt: skip
complete = LiveTable(
    'complete', Customer, [*FACTS, *ICONS, RoleColumn(), ConsoleColumn(), 'worst', *MORE],
    lambda user: Customer.listed(user, Listing.COMPLETE), links=LINKS, hidden=('worst', *MORE), narrow=('worst',),
    carries=('console_url',), spelled=PRODUCTS, beginning=BEGINNING,
)  # fmt: skip
waiting = LiveTable(
    'waiting', Customer, [*FACTS, 'rfi', 'connect_since', RoleColumn(), ConsoleColumn(), *MORE],
    lambda user: Customer.listed(user, Listing.WAITING), links=LINKS, hidden=MORE, narrow=('rfi',),
    carries=('console_url',), spelled=PRODUCTS,
)  # fmt: skip


@hears('columns', right='account.prefer')
async def keep_columns(who: PortalUser, table: LiveTable, shown_to: PortalUser, state: Any) -> None:
    """Remember how this person has arranged a list; `shown_to` is who the page was built for, and builds lists anew."""
    if (state is None or isinstance(state, dict)) and len(str(state)) < 20_000:
        await who.prefer(f'columns {table.key}', state)
        shown_to.preferences = who.preferences


def list_page(table: LiveTable, title: str) -> Any:
    """The builder of a page with nothing but this table. Not async: so the table is in the first answer."""

    def build(user: PortalUser) -> None:
        client = ui.context.client
        address = client.sub_pages_router.current_path

        with ui.element('div').classes('page page-list'):
            page_head(title)
            table.build(user, address, on_columns=lambda state: keep_columns(client, table, user, state))

    return build
