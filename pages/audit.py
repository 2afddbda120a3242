"""The audit: what happened in the MSP itself – sign-ins, people, roles, settings, exports, tokens, backups, imports."""

from nicegui import ui

from components.frame import not_found, page_head
from components.island import Island
from models import PortalUser
from models.history_reading import AUDITED
from models.rights import may
from pages.guard import viewer


async def audit_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or not may(who, 'audit.see'):
        not_found()
        return
    with ui.element('div').classes('page-scroll audit'):
        page_head('Audit')
        groups = [[key, title] for key, (title, _) in AUDITED.items()]
        Island('audit.js', {'groups': groups}).style('display: contents')
