from typing import Any

from nicegui import ui

from components.frame import page_head
from components.island import Island
from models import PortalUser
from models.next_steps import standing
from models.rights import may

NEXT_STEPS = 'next steps'  # among a person's preferences: that they are to be shown no more


def dashboard_page(user: PortalUser) -> None:
    """Four numbers with their trends, what needs attention now, what is stuck in Connect; and for the administrators of
    a new MSP what there is to do first."""
    with ui.element('div').classes('page-scroll page-wide'):
        page_head('Dashboard')
        if may(user, 'settings.change') and not (user.preferences or {}).get(NEXT_STEPS):
            Island('next_steps.js', {}).style('display: contents')
        if may(user, 'access.grant_generic'):
            Island('access_begin.js', {}).style('display: contents')
        Island('board.js', {}).style('display: contents')


async def next_steps(user: PortalUser) -> list[dict[str, Any]] | None:
    """What an MSP does before it works with the portal, and what of it is done; None where nothing of that is to be
    shown. `links` are text and address, the usual one first."""
    if (user.preferences or {}).get(NEXT_STEPS) or (found := await standing(user)) is None:
        return None
    people, mail, customers, backups = found
    return [
        _step(
            'mail', 'Set up the mail server', bool(mail), ('Mail settings', '/settings#mail'),
            here=f'Mail goes out through {mail}.',
            missing='Invitations and new passwords are sent by it. Until then you are shown the link, to pass on.',
        ),
        _step(
            'people', 'Invite your colleagues', people > 0, ('Invite people', '/users#invite'),
            here=f'{people:,} {"colleague is" if people == 1 else "colleagues are"} in.',
            missing='You are the only one here. Everybody gets a role, and sees the customers that you say.',
        ),
        _step(
            'customers', 'Bring in your customers', customers > 0,
            ('Import a file', '/customers/import'), ('Add one', '/customers/new'),
            here=f'{customers:,} {"customer is" if customers == 1 else "customers are"} here.',
            missing='All at once from a CSV file, where you see what it does before it is stored, or one by one.',
        ),
        _step(
            'backup', 'Have a backup', bool(backups['at']), ('Backups', '/settings#backups'),
            here=_backed_up(backups), missing=_not_backed_up(backups),
        ),
    ]  # fmt: skip


def _step(
    key: str, title: str, is_done: bool, *links: tuple[str, str], here: str, missing: str
) -> dict[str, Any]:  # fmt: skip
    return {'key': key, 'title': title, 'done': is_done, 'about': here if is_done else missing, 'links': links}


def _backed_up(backups: dict[str, Any]) -> str:
    is_encrypted = backups['has_key'] if backups['on'] else backups['encrypted']
    kept = 'encrypted' if is_encrypted else 'not encrypted, because no key is set'
    daily = 'One is made every day' if backups['on'] else 'One was made'
    return f'{daily}, {kept}. Keep copies on another machine.'


def _not_backed_up(backups: dict[str, Any]) -> str:
    if backups['error']:
        return f'The first one failed: {backups["error"]}'
    if not backups['on']:
        return 'The portal makes none by itself here (PORTAL_BACKUP_DAYS is 0); python main.py backup makes one.'
    return 'The portal makes one every day; the first comes within minutes.'
