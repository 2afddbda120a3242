"""The one page of NiceGUI in which all others are shown, so that moving about loads nothing anew."""

from nicegui import ui
from nicegui.elements.sub_pages import SubPages
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from components import live_table
from components.frame import early_frame, frame, not_found
from models.rights import may
from models.sight import standing_of
from pages import access, account, audit, customer, customers, help, new_customers, settings_page, users
from pages.acting import find
from pages.customers import list_page
from pages.dashboard import dashboard_page
from pages.guard import own, session_of, user_of

TITLES = {
    customers.in_progress.key: 'Customers: In Progress',
    customers.complete.key: 'Customers: Complete',
    customers.waiting.key: 'Customers: Waiting for RFI',
}
# Fixed paths first: a {name} would swallow them.
ROUTES = {
    '/': dashboard_page,
    **{f'/customers/{key}': list_page(live_table.TABLES[key], title) for key, title in TITLES.items()},
    '/customers/new': new_customers.new_page,
    '/customers/import': new_customers.import_page,
    '/customers/{id}': customer.customer_page,
    '/account': account.account_page,
    '/access': access.access_page,
    '/audit': audit.audit_page,
    '/users': users.users_page,
    '/settings': settings_page.settings_page,
    '/help': help.index_page,
    '/help/{topic}/{key}': help.article_page,
}


# Pages that are there only for who has the right; the builder asks again.
RIGHTS = {
    '/users': 'user.manage',
    '/access': 'access.grant', '/customers/new': 'customer.create', '/customers/import': 'customer.import',
    '/audit': 'audit.see', '/settings': 'settings.change',
}  # fmt: skip


class Rooms(SubPages, component=None):
    """The pages inside the frame; an unknown one says so in our words."""

    def _render_404(self) -> None:
        self._cancel_active_tasks()  # `/customers/1/2` has begun to build customer 1
        not_found()


async def shell(request: Request) -> Response | None:
    """Every page: who is looking, whether the page exists for them, then the frame with it inside."""
    if 'session' not in request.scope.get('state', {}):  # below a public path, where nothing is
        return PlainTextResponse('There is nothing here.', 404)
    user, client = user_of(request), ui.context.client
    own(client, session_of(request))
    if not await exists(request.url.path, request):
        client.status_code = 404
    await help.prepare(user)
    ui.page_title('MSP Portal')
    ui.add_head_html(f'<meta name="portal-me" content="{await standing_of(user)}">')
    key = request.url.path.removeprefix('/customers/')
    if key in TITLES:
        ui.add_head_html(live_table.early(live_table.TABLES[key], user, client.sub_pages_router.current_path))
        ui.add_body_html(early_frame(TITLES[key], '<div id="early-table" style="display:contents"></div>'))
    with frame(user, help.of(user).base):
        Rooms(ROUTES, data={'user': user}, show_404=True)
    return None


async def exists(path: str, request: Request) -> bool:
    """Whether an address that was typed leads anywhere for this user."""
    path = path.rstrip('/') or '/'
    if path in ROUTES:
        return path not in RIGHTS or may(user_of(request), RIGHTS[path])
    parts = path.split('/')
    if path.startswith('/customers/') and len(parts) == 3:
        return await find(user_of(request), parts[2]) is not None
    if path.startswith('/help/') and len(parts) == 4:
        return help.article(parts[2], parts[3]) is not None
    return False


def register() -> None:
    """Make the page known to NiceGUI; called once per start, for a test starts often."""
    ui.page('/', response_timeout=10, language='en-US')(shell)
    ui.page('/{_:path}', response_timeout=10, language='en-US')(shell)
