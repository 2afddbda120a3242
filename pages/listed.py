"""What pages of a list with a panel about one entry share: their beginning, and columns that are no fields."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from tortoise.expressions import RawSQL

from components.frame import not_found
from components.island import Island
from components.live_table import LiveTable
from models import PortalUser
from models.rights import may
from pages.customers import keep_columns
from pages.guard import viewer


class SqlColumn:
    """A column that is not a field as it is: what it sorts by is SQL over the table of the model."""

    def __init__(self, name: str, heading: str, order: str, kind: str = 'text', **described: Any) -> None:
        self.name, self.heading, self.kind, self.described = name, heading, kind, described
        self._order = order

    def order(self, user: PortalUser) -> Any:
        return RawSQL(self._order)

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        """The columns of a row are filled together, by the last of them."""

    def text(self, row: dict[str, Any]) -> Any:
        value = row[self.name]
        if self.kind == 'date' and value is not None:
            return f'{value:%Y-%m-%d %H:%M}'
        return value


async def list_page(
    user: PortalUser, table: LiveTable, module: str, right: str,
    config: Callable[[PortalUser, dict[str, Any]], Awaitable[dict[str, Any]]],
) -> None:  # fmt: skip
    """Draw the page by `module`; `config` adds what that is given beside the list (which it may change)."""
    client = ui.context.client
    address = client.sub_pages_router.current_path
    who = await viewer(client)
    if who is None or not may(who, right):
        not_found()
        return
    listed = table.config(who, address)
    given = {'table': listed, **await config(who, listed)}
    with ui.element('div').classes('page page-list'):
        island = Island(module, given).style('display: contents')
        island.on('columns', lambda event: keep_columns(client, table, user, event.args))
