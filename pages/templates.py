"""The templates of Connect: which steps new customers go through, whose they are, and what comes before what."""

from functools import cache
from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import ConnectTemplate, Directory, MailPlatform, PortalUser, StepOwner
from models.connect_checks import CHECKS
from models.connect_template import MOST_STEPS
from models.database import reader, rows
from models.rights import may
from pages.guard import viewer

_OWNERS = {StepOwner.VENDOR: 'Vendor', StepOwner.PARTNER: 'You (the MSP)', StepOwner.CUSTOMER: 'Customer'}
_SERVICES = [['SA', 'Either service'], ['S', 'Email security'], ['A', 'Archiving']]


async def templates_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or not may(who, 'template.change'):
        not_found()
        return
    Island('templates.js', fixed() | await state_of(who)).style('display: contents')


@cache
def fixed() -> dict[str, Any]:
    """What is the same for everybody who sees the page."""
    return {
        'owners': [[owner.value, title] for owner, title in _OWNERS.items()], 'services': _SERVICES,
        'platforms': [[one.value, one.title] for one in MailPlatform if one.value],
        'directories': [[one.value, one.title] for one in Directory if one.value],
        'checks': [[key, check.title, check.asks] for key, check in CHECKS.items()], 'most': MOST_STEPS,
    }  # fmt: skip


async def state_of(user: PortalUser) -> dict[str, Any]:
    """The templates as they are now, each with its versions, the newest first."""
    current = await ConnectTemplate.of(user.partner_id)
    versions: dict[str, list[dict[str, Any]]] = {}
    known = ConnectTemplate.filter(partner_id=user.partner_id).order_by('-version')
    for row in await rows(known.using_db(reader()).values('key', 'version', 'name', 'made_by', 'created_at')):
        versions.setdefault(row['key'], []).append({name: row[name] for name in row if name != 'key'})
    return {
        'templates': [
            {
                'key': one.key, 'name': one.name, 'version': one.version, 'is_default': one.is_default,
                'made_by': one.made_by, 'created_at': one.created_at, 'steps': one.steps,
                'versions': versions.get(one.key, []),
            }
            for one in current
        ]
    }  # fmt: skip
