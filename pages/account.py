"""The page of one's own account, drawn by assets/account.js."""

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import PortalUser, own_account
from models.password import MIN_PASSWORD
from pages.api.account import facts_of
from pages.guard import viewer


async def account_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or who.id != user.id:
        not_found()
        return
    Island(
        'account.js',
        {
            'facts': await facts_of(who, None), 'zones': own_account.time_zones(), 'min_password': MIN_PASSWORD,
        },
    ).style('display: contents')  # fmt: skip
