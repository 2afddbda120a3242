"""The one page of NiceGUI in which all others are shown, so that moving about loads nothing anew."""

from nicegui import ui
from nicegui.elements.sub_pages import SubPages
from nicegui.page_arguments import RouteMatch
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from components import live, live_table
from components.frame import early_frame, frame, not_found
from models.rights import may
from models.sight import standing_of
from pages import (
    access,
    account,
    audit,
    connect_board,
    customer,
    customers,
    face,
    help,
    mail,
    new_customers,
    order_list,
    orders,
    prices,
    prospects,
    rfi,
    settings_page,
    templates,
    upgrade,
    users,
)
from pages.acting import find
from pages.customers import list_page
from pages.dashboard import dashboard_page
from pages.guard import own, session_of, user_of

TITLES = {
    customers.in_progress.key: 'Customers: In Progress',
    customers.complete.key: 'Customers: Complete',
    customers.waiting.key: 'Customers: Waiting for RFI',
    customers.closed.key: 'Customers: Closed',
}
# Lists that are the whole of a page, by its path.
LISTS = {f'/customers/{key}': (key, title) for key, title in TITLES.items()} | {
    '/prospects': (prospects.table.key, 'Prospects'),
    '/orders': (order_list.table.key, 'Orders'),
}
# Fixed paths first: a {name} would swallow them.
ROUTES = {
    '/': dashboard_page,
    **{path: list_page(live_table.TABLES[key], title) for path, (key, title) in LISTS.items()},
    '/prospects/new': prospects.new_page,
    '/prospects/{id}': prospects.prospect_page,
    '/prospects/{id}/order': orders.order_page,
    '/customers/new': new_customers.new_page,
    '/customers/import': new_customers.import_page,
    '/customers/{id}/rfi': rfi.rfi_page,
    '/customers/{id}/upgrade': upgrade.upgrade_page,
    '/customers/{id}': customer.customer_page,
    connect_board.PATH: connect_board.board_page,
    '/account': account.account_page,
    '/access': access.access_page,
    '/audit': audit.audit_page,
    '/mail': mail.mail_page,
    '/users': users.users_page,
    '/settings': settings_page.settings_page,
    '/settings/prices': prices.prices_page,
    '/settings/templates': templates.templates_page,
    '/help': help.index_page,
    '/help/{topic}/{key}': help.article_page,
}


# Pages that are there only for who has the right; the builder asks again.
RIGHTS = {
    '/users': 'user.manage',
    '/access': 'access.grant', '/customers/new': 'customer.create', '/customers/import': 'customer.import',
    '/orders': order_list.SEE, '/prospects': 'prospect.see', '/prospects/new': 'prospect.change',
    '/audit': 'audit.see', '/mail': mail.RIGHT, '/settings': 'settings.change', '/settings/prices': 'price.see',
    '/settings/templates': 'template.change',
}  # fmt: skip


class Rooms(SubPages, component=None):
    """The pages inside the frame; an unknown one says so in our words."""

    def _render_page(self, match: RouteMatch) -> bool:
        self._props['data-told'] = live.hub.told(self._data['user'].partner_id)  # before anything of the page is read
        return super()._render_page(match)

    def _render_404(self) -> None:
        self._cancel_active_tasks()  # `/customers/1/2` has begun to build customer 1
        not_found()


async def shell(request: Request) -> Response | None:
    """Every page: who is looking, whether the page exists for them, then the frame with it inside."""
    if 'session' not in request.scope.get('state', {}):  # below a public path, where nothing is
        return PlainTextResponse('There is nothing here.', 404)
    user, client = user_of(request), ui.context.client
    ui.add_head_html(f'<meta name="portal-told" content="{live.hub.told(user.partner_id)}">')
    own(client, session_of(request))
    is_there = await exists(request.url.path, request)
    if not is_there:
        client.status_code = 404
    await help.prepare(user)
    looks = await face.prepare(user)
    ui.page_title('MSP Portal')
    ui.add_head_html(f'<meta name="portal-me" content="{await standing_of(user)}">')
    if is_there and (listed := LISTS.get(request.url.path)) is not None:
        key, title = listed
        ui.add_head_html(live_table.early(live_table.TABLES[key], user, client.sub_pages_router.current_path))
        ui.add_body_html(early_frame(title, '<div id="early-table" style="display:contents"></div>', looks))
    elif request.url.path == connect_board.PATH:
        ui.add_head_html(await connect_board.early(user, client.sub_pages_router.current_path))
        place = '<div id="early-table" style="display:contents"></div>'
        ui.add_body_html(early_frame(connect_board.TITLE, place, looks))
    with frame(user, looks, help.of(user).base):
        Rooms(ROUTES, data={'user': user}, show_404=True)
    return None


async def exists(path: str, request: Request) -> bool:
    """Whether an address that was typed leads anywhere for this user."""
    path = path.rstrip('/') or '/'
    if path in ROUTES:
        return path not in RIGHTS or may(user_of(request), RIGHTS[path])
    parts = path.split('/')
    if path.startswith('/customers/') and (len(parts) == 3 or (len(parts) == 4 and parts[3] == 'rfi')):
        return await find(user_of(request), parts[2]) is not None
    if path.startswith('/customers/') and len(parts) == 4 and parts[3] == 'upgrade':
        return await upgrade.exists(user_of(request), parts[2])
    if path.startswith('/prospects/') and len(parts) == 3:
        return await prospects.find(user_of(request), parts[2]) is not None
    if path.startswith('/prospects/') and len(parts) == 4 and parts[3] == 'order':
        return await orders.exists(user_of(request), parts[2])
    if path.startswith('/help/') and len(parts) == 4:
        return help.article(parts[2], parts[3]) is not None
    return False


def register() -> None:
    """Make the page known to NiceGUI; called once per start, for a test starts often."""
    ui.page('/', response_timeout=10, language='en-US')(shell)
    ui.page('/{_:path}', response_timeout=10, language='en-US')(shell)
