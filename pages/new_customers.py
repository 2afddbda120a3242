"""Bringing customers in: one by a form, many from a file."""

from typing import Any

from nicegui import ui

from components.frame import not_found, page_head
from components.island import Island
from models import AccountType, PortalUser
from models.product import ProductKind, load_catalogue
from models.rights import may
from pages import help
from pages.api.imports import LARGEST
from pages.guard import viewer

# What a customer begins with, as the form asks it.
BEGINNINGS = {
    'requested': ('The RFI is sent to the customer', 'Listed under Waiting for RFI until the form has come back.'),
    'submitted': ('The RFI has come back already', 'Listed under In Progress at once, to be checked on its page.'),
    'not_applicable': ('There is no RFI', 'Listed under In Progress at once.'),
    'live': ('Live already', 'It went through Connect elsewhere: listed under Complete.'),
}


async def _with_right(right: str) -> PortalUser | None:
    """Who looks, asked anew; None, and the page says that there is nothing, where their role does not include it."""
    who = await viewer(ui.context.client)
    if who is not None and may(who, right):
        return who
    not_found()
    return None


async def new_page(user: PortalUser) -> None:
    if (who := await _with_right('customer.create')) is None:
        return
    with ui.element('div').classes('page-scroll page-form'):
        page_head('Add a customer')
        Island('new_customer.js', await _form(who)).style('display: contents')


async def _form(who: PortalUser) -> dict[str, Any]:
    catalogue = sorted(
        (product for product in (await load_catalogue(who.partner_id)).values() if product.is_active),
        key=lambda product: (product.kind != ProductKind.PRIMARY, product.name),
    )
    return {
        'types': [[each.value, each.title] for each in AccountType],
        'products': [[each.code, each.name, each.kind.title] for each in catalogue],
        'beginnings': [[key, title, about] for key, (title, about) in BEGINNINGS.items()],
    }


async def import_page(user: PortalUser) -> None:
    if await _with_right('customer.import') is None:
        return
    with ui.element('div').classes('page-scroll import'):
        page_head('Import customers')
        Island('import.js', {'largest': LARGEST, 'help': help.of(user).base + '/import/customers'}).style(
            'display: contents'
        )
