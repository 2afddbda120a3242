from nicegui import ui

from components.frame import page_head
from components.island import Island
from models import PortalUser


def dashboard_page(user: PortalUser) -> None:
    """Four numbers with their trends, what needs attention now, what is stuck in Connect."""
    with ui.element('div').classes('page-scroll page-wide'):
        page_head('Dashboard')
        Island('board.js', {}).style('display: contents')
