from nicegui import ui

from components.frame import page_head
from components.island import Island
from models import PortalUser
from models.rights import may


def dashboard_page(user: PortalUser) -> None:
    """Four numbers with their trends, what needs attention now, what is stuck in Connect."""
    with ui.element('div').classes('page-scroll page-wide'):
        page_head('Dashboard')
        if may(user, 'access.grant_generic'):
            Island('access_begin.js', {}).style('display: contents')
        Island('board.js', {}).style('display: contents')
