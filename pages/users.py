"""The people of the MSP: a list like those of customers, invitations, and what is changed about each."""

from typing import Any

from nicegui import ui
from tortoise.expressions import RawSQL

from components.frame import not_found
from components.island import Island
from components.live_table import LiveTable
from models import PortalRole, PortalUser, Session, UserState, sight
from models.database import reader
from models.rights import ABOUT, may
from pages.customers import keep_columns
from pages.guard import viewer
from pages.help import base

RIGHT = 'user.manage'


class PeopleColumn:
    """A column that is not a field of its own: what it sorts by is SQL over `portal_user`."""

    def __init__(self, name: str, heading: str, kind: str, order: str) -> None:
        self.name, self.heading, self.kind, self._order = name, heading, kind, order

    def order(self, user: PortalUser) -> Any:
        return RawSQL(self._order)

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        """The columns of a row are filled together, by the last of them."""

    def text(self, row: dict[str, Any]) -> Any:
        return row[self.name]


class SessionsColumn(PeopleColumn):
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
        'name', 'email', PeopleColumn('role', 'Role', 'text', PortalUser.ORDERS['role']),
        PeopleColumn('sees', 'Sees', 'text', PortalUser.ORDERS['sees']),
        PeopleColumn('state', 'State', 'text', PortalUser.ORDERS['state']),
        PeopleColumn('two_factor', 'Two-factor', 'text', PortalUser.ORDERS['two_factor']),
        PeopleColumn('last_sign_in', 'Last sign-in', 'date', PortalUser.ORDERS['last_sign_in']),
        SessionsColumn('sessions', 'Sessions', 'number', PortalUser.ORDERS['sessions']),
    ],
    people_of, noun='users', links={'name': '/users#{id}'}, narrow=('state',),
    yields=('sessions', 'two_factor', 'last_sign_in'), right=RIGHT,
    searched='name or e-mail address',
)  # fmt: skip


async def users_page(user: PortalUser) -> None:
    client = ui.context.client
    address = client.sub_pages_router.current_path
    who = await viewer(client)
    if who is None or not may(who, RIGHT):
        not_found()
        return
    config = {
        'table': table.config(who, address), 'me': who.id, 'help': base(),
        'roles': [[role.value, role.title, ABOUT[role]] for role in PortalRole],
        'states': {state.value: state.title for state in UserState},
    }  # fmt: skip
    with ui.element('div').classes('page page-list'):
        island = Island('users.js', config).style('display: contents')
        island.on('columns', lambda event: keep_columns(client, table, user, event.args))
