"""Everything about one customer: a summary that stays in view, ten cards, recent history and contacts."""

from typing import Any

from nicegui import ui

from components import cards, live, order_card
from components.frame import not_found
from components.island import Island
from models import Customer, DelegatedAccess, PortalUser
from models.attachment_files import ACCEPTED
from models.history_reading import KINDS
from models.ordering import documents_with_prices
from models.rights import RIGHTS, may
from pages import help
from pages.acting import find
from pages.customers import consoles_of
from pages.guard import viewer
from settings import settings

OPEN_AT_FIRST = ('connect', 'monitor', 'notes')


async def customer_page(id: str, user: PortalUser) -> None:
    who = await viewer(ui.context.client)  # asked anew: what they may see can have changed since the page was opened
    customer = await find(who, id) if who is not None else None
    if who is None or customer is None:
        not_found()
        return
    Island('customer.js', await config_of(customer, who)).style('display: contents')


async def config_of(customer: Customer, user: PortalUser) -> dict[str, Any]:
    """What the page begins with: nothing more has to be asked for before it is whole."""
    kept = (user.preferences or {}).get('open cards')
    opened = [key for key in cards.CARDS if key in (OPEN_AT_FIRST if kept is None else kept)]
    wanted = ['head', 'recent', 'contacts', *(f'gist {key}' for key in cards.CARDS), *opened]
    audience = await live.hub.audience_of(user)
    found = await cards.read(customer, wanted, audience=audience.key)
    found = await for_viewer(found, customer, user)
    return {
        'id': customer.id, 'me': user.id, 'help': help.of(user).base, 'helps': help.of(user).own, 'open': opened,
        'parts': found,
        'rights': found['head']['rights'],
        'cards': [{'key': c.key, 'title': c.title, 'shows': sorted(c.shows)} for c in cards.CARDS.values()],
        'groups': [[key, title] for key, (title, _) in KINDS.items()],
        'accepted': ACCEPTED, 'upload_mb': settings().upload_mb,
    }  # fmt: skip


async def for_viewer(found: dict[str, Any], customer: Customer, user: PortalUser) -> dict[str, Any]:
    """The parts with what differs from viewer to viewer: role, button, rights; without what this one may not see."""
    found = dict(found)
    if 'head' in found:
        role = (await DelegatedAccess.roles_of(user, [customer.id])).get(customer.id, 'None')
        doors = await consoles_of(user, [(customer.id, role, customer.console_url, customer.console_id)])
        facts = found['head']['facts']
        if not may(user, 'customer.change'):  # where a console is, is for those who open it or enter it
            facts = [fact for fact in facts if fact['name'] != 'console_url']
        found['head'] = found['head'] | {
            'facts': facts, 'role': role, 'console': doors[customer.id],
            'rights': [action for action in RIGHTS if may(user, action)],
        }  # fmt: skip
    if 'orders' in found and not may(user, 'price.see'):
        found['orders'] = order_card.without_prices(found['orders'])
    if 'attachments' in found and not may(user, 'price.see'):
        closed = await documents_with_prices(customer.id)
        rows = [row | {'is_closed': row['id'] in closed} for row in found['attachments']['rows']]
        found['attachments'] = found['attachments'] | {'rows': rows}
    if 'upgrades' in found and not may(user, 'price.see'):
        unpriced = [row | {'price': None} for row in found['upgrades']['rows']]
        found['upgrades'] = found['upgrades'] | {'rows': unpriced}
    return found
