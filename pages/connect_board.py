"""The board of Connect, drawn by assets/board_connect.js; like a list, it is begun before the page framework."""

import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nicegui import ui

from components import live_table, theme
from components.frame import page_head
from components.island import Island
from models import PortalUser, StepOwner, connect_board
from models.connect_board import MOST, NAMES, STATES, WHO
from models.rights import may

PATH = '/connect'
TITLE = 'Connect'
ASKED: dict[str, tuple[str, ...]] = {'q': (), 'owner': tuple(StepOwner), 'who': WHO, 'state': STATES}
# What changes on a card is told to every page, beside what changes in lists.
live_table.ALSO_PUSHED.update(NAMES)


def board_page(user: PortalUser) -> Awaitable[None] | None:
    """Everybody in Connect, in columns by step. Where it begins a visit it has no need to wait: so the board is in the
    first answer, and how it is laid out in `early`."""
    client = ui.context.client
    address = client.sub_pages_router.current_path
    if client.has_socket_connection:
        return _come_to(user, address)
    _shown(config(user, address))
    return None


async def _come_to(user: PortalUser, address: str) -> None:
    """From another page of the portal."""
    _shown(await outlined(user, address))


def _shown(config: dict[str, Any]) -> None:
    with ui.element('div').classes('page page-list'):
        page_head(TITLE)
        Island('board_connect.js', config).style('display: contents')


def config(user: PortalUser, address: str) -> dict[str, Any]:
    """What the browser's side is told; the query of `address` says what the board is narrowed to."""
    query = dict(parse_qsl(urlsplit(address).query))
    asked = {
        name: query[name][:200] for name, values in ASKED.items()
        if query.get(name) and (not values or query[name] in values)
    }  # fmt: skip
    return {'path': PATH, 'me': user.id, 'assigns': may(user, 'step.assign'), 'asked': asked, 'most': MOST}


async def outlined(user: PortalUser, address: str) -> dict[str, Any]:
    """The same with how the columns will be, so that what is shown while the cards are read is where they will be."""
    told = config(user, address)
    customers = connect_board.narrowed(connect_board.in_connect(user), user, told['asked'])
    order = await connect_board.order_of_steps(user.partner_id)
    return told | {'outline': {'order': order, 'places': await connect_board.places(customers)}}


async def early(user: PortalUser, address: str) -> str:
    """For the head of a page that begins with the board; see `components.live_table.early`."""
    rows_at = '/api/ui/connect'
    modules = ('board_connect.js', 'live.js', 'icons.js', 'tips.js', 'dialog.js', 'looking_after.js')
    return (
        f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{rows_at}">'
        + ''.join(f'<link rel="modulepreload" href="{theme.asset(module)}">' for module in modules)
        + f'<script type="module" async>import {{ begin }} from {_script(theme.asset("board_connect.js"))};'
        f'begin({_script(await outlined(user, address))}, {_script(rows_at)})</script>'
    )


def _script(value: Any) -> str:
    return json.dumps(value).replace('<', '\\u003c')
