"""Who holds which role in which customer's console: one person over all customers, and the consoles themselves."""

from nicegui import ui

from components.frame import not_found, page_head
from components.island import Island
from models import PortalUser
from models.rights import may


def access_page(user: PortalUser) -> None:
    if not may(user, 'access.grant'):
        not_found()
        return
    with ui.element('div').classes('page-scroll'):
        page_head('Console access')
        config = {
            'me': user.id, 'consoles': may(user, 'settings.change'), 'generic': may(user, 'access.grant_generic'),
        }  # fmt: skip
        Island('access.js', config).style('display: contents')
