"""The one page of NiceGUI in which all others are shown, so that moving about loads nothing anew."""

from nicegui import ui
from nicegui.elements.sub_pages import SubPages
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from components import live_table, theme
from components.frame import frame, not_found
from components.island import Island
from pages import customers, help
from pages.customers import find, list_page
from pages.dashboard import dashboard_page
from pages.guard import own, session_of, user_of

# Fixed paths first: a {name} would swallow them.
ROUTES = {
    '/': dashboard_page,
    '/customers/in-progress': list_page(customers.in_progress, 'Customers: In Progress'),
    '/customers/complete': list_page(customers.complete, 'Customers: Complete'),
    '/customers/waiting': list_page(customers.waiting, 'Customers: Waiting for RFI'),
    '/customers/{id}': customers.customer_page,
    '/help': help.index_page,
    '/help/{topic}/{key}': help.article_page,
}


class Rooms(SubPages, component=None):
    """The pages inside the frame; an unknown one says so in our words."""

    def _render_404(self) -> None:
        not_found()


async def shell(request: Request) -> Response | None:
    """Every page: who is looking, whether the page exists for them, then the frame with it inside."""
    if 'session' not in request.scope.get('state', {}):  # below a public path, where nothing is
        return PlainTextResponse('There is nothing here.', 404)
    user, client = user_of(request), ui.context.client
    own(client, session_of(request))
    if not await exists(request.url.path, request):
        client.status_code = 404
    ui.page_title('MSP Portal')
    key = request.url.path.removeprefix('/customers/')
    if key in live_table.TABLES:
        ui.add_head_html(_early_rows(key, request))
    with frame(user):
        Rooms(ROUTES, data={'user': user}, show_404=True)
    return None


async def exists(path: str, request: Request) -> bool:
    """Whether an address that was typed leads anywhere for this user."""
    path = path.rstrip('/') or '/'
    if path in ROUTES:
        return True
    parts = path.split('/')
    if path.startswith('/customers/') and len(parts) == 3:
        return await find(user_of(request), parts[2]) is not None
    if path.startswith('/help/') and len(parts) == 4:
        return help.article(parts[2], parts[3]) is not None
    return False


def _early_rows(key: str, request: Request) -> str:
    """Ask for the first rows and load the grid while the page itself is still being put together."""
    table = live_table.TABLES[key]
    asked = live_table.Asked.forgiving(table, dict(request.query_params))
    return (
        f'<link rel="modulepreload" href="{Island.grid_url()}">'
        + ''.join(
            f'<link rel="modulepreload" href="{theme.asset(name)}">'
            for name in ('table.js', 'icons.js', 'glyphs.js', 'tips.js')
        )
        + live_table.early_rows(table, asked)
    )


def register() -> None:
    """Make the page known to NiceGUI; called once per start, for a test starts often."""
    ui.page('/', response_timeout=10, language='en-US')(shell)
    ui.page('/{_:path}', response_timeout=10, language='en-US')(shell)
