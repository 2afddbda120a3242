"""The people of the MSP: a list like those of customers, invitations, and what is changed about each."""

from typing import Any

from components.live_table import LiveTable
from models import PortalRole, PortalUser, Session, UserState, sight
from models.database import reader
from models.rights import ABOUT, may
from pages.help import base
from pages.listed import SqlColumn, list_page

RIGHT = 'user.manage'


def _column(name: str, heading: str, kind: str = 'text') -> SqlColumn:
    return SqlColumn(name, heading, PortalUser.ORDERS[name], kind)


class SessionsColumn(SqlColumn):
    """How many sessions go on, and with it what the other columns need."""

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        ids = [row['id'] for row in found]
        people = {each.id: each for each in await PortalUser.filter(id__in=ids).using_db(reader())}
        sees = await sight.said((each.id, each.sees_all) for each in people.values())
        counts = await Session.count_running(ids)
        for row in found:
            who = people.get(row['id'])
            if who is None:
                continue
            row['role'] = who.role.title
            row['sees'] = sees[who.id] if who.can_sign_in else '–'
            row['state'] = who.state.title
            row['two_factor'] = '–' if not who.can_sign_in else 'On' if who.totp_since else 'Off'
            row['last_sign_in'] = who.last_sign_in_at
            row['sessions'] = counts.get(who.id, 0)


def people_of(user: PortalUser) -> Any:
    found = PortalUser.filter(partner_id=user.partner_id)
    return found if may(user, RIGHT) else found.filter(id__in=[])


table = LiveTable(
    'users', PortalUser, [
        'name', 'email', _column('role', 'Role'), _column('sees', 'Sees'), _column('state', 'State'),
        _column('two_factor', 'Two-factor'), _column('last_sign_in', 'Last sign-in', 'date'),
        SessionsColumn('sessions', 'Sessions', PortalUser.ORDERS['sessions'], 'number'),
    ],
    people_of, noun='users', links={'name': '/users#{id}'}, narrow=('state',),
    yields=('sessions', 'two_factor', 'last_sign_in'), right=RIGHT,
    searched='name or e-mail address',
)  # fmt: skip


async def users_page(user: PortalUser) -> None:
    await list_page(user, table, 'users.js', RIGHT, _config)


async def _config(who: PortalUser, _listed: dict[str, Any]) -> dict[str, Any]:
    return {
        'me': who.id, 'help': base(), 'roles': [[role.value, role.title, ABOUT[role]] for role in PortalRole],
        'states': {state.value: state.title for state in UserState},
    }  # fmt: skip
