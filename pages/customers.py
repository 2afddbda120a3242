"""Customer | In Progress, Customer | Complete, those waiting for their RFI, and the page of one customer."""

from dataclasses import replace
from typing import Any

from nicegui import ui
from tortoise.functions import Lower

from components.frame import not_found, page_head
from components.live_table import LiveTable, described
from models import (
    AdminConsole,
    Customer,
    CustomerTag,
    DelegatedAccess,
    Listing,
    MonitorKind,
    Partner,
    PortalUser,
    Rfi,
    SignOnKind,
    second_factor,
)
from models.access import is_partner
from models.admin_console import is_console_url
from models.database import reader, rows
from models.product import CATALOGUE
from models.rights import may
from pages import help
from pages.acting import hears


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
        doors = await consoles_of(
            user, [(row['id'], row['role'], row.pop('console_url', ''), row.pop('console_id', None)) for row in found]
        )
        for row in found:
            row['console'] = doors[row['id']]

    def text(self, row: dict[str, Any]) -> str:
        return 'Yes' if 'url' in row['console'] else 'No'


class TagsColumn:
    """The customer's tags, as a file that is imported has them."""

    name, heading, kind = 'tags', 'Tags', 'text'

    def order(self, user: PortalUser) -> None:
        return None

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        ids = [row['id'] for row in found]
        tagged = CustomerTag.filter(customer_id__in=ids).order_by('tag').values('customer_id', 'tag')
        tags: dict[int, list[str]] = {id_: [] for id_ in ids}
        for row in await rows(tagged):
            tags[row['customer_id']].append(row['tag'])
        for row in found:
            row['tags'] = '; '.join(tags[row['id']])

    def text(self, row: dict[str, Any]) -> str:
        return row['tags']


class LinkColumn:
    """What can be done about the link to the RFI form; for those who may."""

    name, heading, kind = 'rfi_link', 'Link', 'action'

    def order(self, user: PortalUser) -> Any:
        return Lower('rfi_form__sent_to')

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        for row in found:
            row['rfi_link'] = {'act': 'rfi', 'text': 'RFI link'} if may(user, 'rfi.send') else None

    def text(self, row: dict[str, Any]) -> str:
        return ''


async def consoles_of(user: PortalUser, told: list[tuple[int, str, str, int | None]]) -> dict[int, dict[str, str]]:
    """For each customer (id, the viewer's role there, address and connection of its console): where the button leads,
    or why it is off. The same few questions for any number of customers."""
    without = [customer_id for customer_id, role, *_ in told if not is_partner(role)]
    granters = await DelegatedAccess.granters(user.partner_id, without) if may(user, 'console.open') else {}
    posted = set()
    if any(console_id for *_, console_id in told):
        consoles = AdminConsole.filter(partner_id=user.partner_id, sign_on=SignOnKind.ASSERTION)
        posted = {row['id'] for row in await rows(consoles.values('id'))}
    wants_factor = may(user, 'console.open') and await second_factor.is_wanted_for_consoles(user)
    return {
        customer_id: _console(user, customer_id, role, console_id in posted or is_console_url(url),
                              granters.get(customer_id, []), wants_factor=wants_factor)
        for customer_id, role, url, console_id in told
    }  # fmt: skip


def _console(
    user: PortalUser, customer_id: int, role: str, is_known: bool, granters: list[str], *, wants_factor: bool
) -> dict[str, str]:
    if not may(user, 'console.open'):
        return {'why': f'Your role in the portal ({user.role.title}) does not include opening consoles.'}
    if not is_partner(role):
        yours = 'you have none here' if role == 'None' else f'yours is {role}'
        how = who_can_grant(granters, user)
        return {'why': f'Delegated access needs the role Partner Administrator; {yours}. {how}'}
    if not is_known:
        return {'why': 'The address of this customer’s console is not known yet.'}
    if wants_factor:
        return {'why': 'Turn on two-factor in your account first: your MSP wants it for signing on to consoles.'}
    return {'url': f'/customers/{customer_id}/console'}


def who_can_grant(names: list[str], viewer: PortalUser) -> str:
    if not names:
        who = 'you' if may(viewer, 'access.grant_generic') else 'an administrator'
        return f'No administrator holds it here: {who} can grant it by the generic administration account.'
    if len(names) > 3:
        return f'{", ".join(names[:3])} and {len(names) - 3:,} more can grant it.'
    return f'{" or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)} can grant it.'


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
MORE = ('account_code', 'domain', 'contract_start')
TAGS = (TagsColumn(),)
CARRIED = ('console_url', 'console_id')  # what the button is made of
# Beside a code that stands in for the account's own.
FLAGS = {'account_code': {
    'by': 'code_is_provisional', 'word': 'provisional', 'tip': 'Until the vendor has given the account’s own code',
}}  # fmt: skip
# Beside the products of a live customer.
LATER = {'products_in_short': {
    'by': 'connect_owner', 'word': 'to set up', 'tip': 'Something that was bought later is to be set up',
}}  # fmt: skip
LINKS = {'name': '/customers/{id}', 'connect_status': '/help/connect/{connect_key}', 'rfi': '/customers/{id}/rfi'}
PRODUCTS = {'products_in_short': {code: name for code, name, *_ in CATALOGUE}}


def helped(user: PortalUser) -> dict[str, Any]:
    """What of a list leads to help, which is elsewhere for every MSP."""
    base, own = help.of(user)
    # A Connect status is a step, or a status of its own.
    articles = {key.partition('/')[2]: own[key] for key in own if key.startswith(('step/', 'status/'))}
    status = {'own': articles, 'by': 'connect_key', 'others': f'{base}/connect/{{connect_key}}'}
    return {
        'links': LINKS | {'connect_status': status},
        'beginning': {'text': 'How to import customers', 'href': f'{base}/import/customers'},
    }


TOOLS = (
    {'text': 'Add a customer', 'href': '/customers/new', 'right': 'customer.create', 'icon': 'plus', 'main': True},
    {'text': 'Import', 'href': '/customers/import', 'right': 'customer.import', 'icon': 'upload'},
)

in_progress = LiveTable(
    'in-progress', Customer, [*FACTS, 'connect_status', 'rfi', RoleColumn(), ConsoleColumn(), *MORE],
    Customer.listed_in_progress, links=LINKS, hidden=MORE, note=waiting_note,
    narrow=('connect_status', 'rfi'), carries=CARRIED, flags=FLAGS, spelled=PRODUCTS, exported=TAGS, told_to=helped,
    tools=TOOLS,
)  # fmt: skip
complete = LiveTable(
    'complete', Customer, [*FACTS, *ICONS, RoleColumn(), ConsoleColumn(), 'worst', *MORE],
    lambda user: Customer.listed(user, Listing.COMPLETE), links=LINKS, hidden=('worst', *MORE), narrow=('worst',),
    carries=CARRIED, flags=FLAGS | LATER, spelled=PRODUCTS, exported=TAGS, told_to=helped, tools=TOOLS[1:],
)  # fmt: skip


def of_own(name: str, **said: Any) -> Any:
    """A column of the customer's that this list calls or draws in a way of its own."""
    return replace(described(Customer, name), **said)


WHO_IS_CLOSED = (
    'Who has cancelled, has moved to another partner, or whose Connect was abandoned is listed here, with everything '
    'that was: history, documents, notes and orders.'
)
closed = LiveTable(
    'closed', Customer, [
        'name', 'account_code', of_own('closing', heading='What happened'), of_own('closed_at', kind='day'),
        'closed_because', 'products_in_short', 'seats', 'account_type', 'domain', 'contract_start',
    ],
    lambda user: Customer.listed(user, Listing.CLOSED), links={'name': LINKS['name']},
    hidden=('account_type', 'domain', 'contract_start'), narrow=('closing',), spelled=PRODUCTS, exported=TAGS,
    told_to=lambda user: {'explained': WHO_IS_CLOSED},
)  # fmt: skip


def of_form(name: str, heading: str = '') -> Any:
    """A column of the customer's RFI form. By the form's own model: what leads to it is known only later."""
    shown, path = described(Rfi, name), f'rfi_form__{name}'
    sort: Any = Lower(path) if shown.kind == 'text' else path
    return replace(shown, name=path, heading=heading or shown.heading, needs=(path,), sort=sort)


waiting = LiveTable(
    'waiting', Customer, [
        *FACTS, 'rfi', of_form('requested_at', 'Sent'), of_form('sent_to'), of_form('opened_at'), of_form('reminders'),
        LinkColumn(), 'connect_since', RoleColumn(), ConsoleColumn(), *MORE,
    ],
    lambda user: Customer.listed(user, Listing.WAITING), links=LINKS,
    hidden=('account_type', 'connect_since', 'role', 'console', *MORE),
    narrow=('rfi_form__requested_at', LinkColumn.name),
    yields=('products_in_short', 'seats', 'rfi_form__reminders'), carries=CARRIED, flags=FLAGS, spelled=PRODUCTS,
    exported=TAGS, told_to=lambda user: waiting_for(user),
    tools=({'text': 'Several links', 'act': 'rfi', 'right': 'rfi.send', 'icon': 'mail'},),
)  # fmt: skip


def waiting_for(user: PortalUser) -> dict[str, Any]:
    """Nobody is shown a column in which there is nothing for them."""
    columns = [each for each in waiting.config_columns() if may(user, 'rfi.send') or each['name'] != LinkColumn.name]
    told = helped(user) | {'beginning': None, 'columns': columns}
    # On a phone what the link tells is the rest; without it, whether the form was opened.
    return told if may(user, 'rfi.send') else told | {'narrow': ('rfi_form__requested_at', 'rfi_form__opened_at')}


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
        if table.right and not may(user, table.right):
            not_found()
            return
        with ui.element('div').classes('page page-list'):
            page_head(title)
            table.build(user, address, on_columns=lambda state: keep_columns(client, table, user, state))

    return build
