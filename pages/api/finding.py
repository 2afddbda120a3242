"""The search over everything: customers in every list, prospects, and the pages and actions that the asker's role
includes."""

from typing import Any

from fastapi import APIRouter

from components.frame import MENU, THEMES
from models import PortalUser
from models.finding import LONGEST, find_customers, find_prospects, these_customers
from models.rights import may
from pages import help
from pages.acting import SIGNED_IN, Asking, reads, whole

router = APIRouter(prefix='/api/ui', include_in_schema=False)

RECENT = 8  # customers that were opened lately and are shown again
# What can be done: title, address, the right, and other words by which people look for it.
ACTIONS = (
    ('Add a customer', '/customers/new', 'customer.create', 'new create customer'),
    ('New prospect', '/prospects/new', 'prospect.change', 'add create lead potential customer sales'),
    ('Import customers', '/customers/import', 'customer.import', 'csv upload file spreadsheet'),
    ('Invite somebody', '/users#invite', 'user.manage', 'new user person colleague'),
    ('Your account', '/account', 'account.change', 'profile password two-factor name time zone sessions'),
)
# What is where on the settings page: section, its part of the address, the right, and other words.
SETTINGS = (
    ('The MSP', 'msp', 'settings.change', 'company name logo address currency time zone'),
    ('Customers', 'customers', 'settings.change', 'in progress rule listed'),
    ('Orders', 'orders', 'settings.change', 'order desk vendor agreement withdraw upgrades'),
    ('RFI', 'rfi', 'settings.change', 'outbound inbound ip addresses smart hosts reminders links'),
    ('Connect', 'connect', 'settings.change', 'mx spf records automatic checks completion'),
    ('Security', 'security', 'settings.change', 'two-factor 2fa second factor totp rule'),
    ('Help links', 'help', 'settings.change', 'knowledge base articles'),
    ('Mail', 'mail', 'settings.change', 'smtp mail server e-mail sender test message'),
    ('API tokens', 'tokens', 'token.manage', 'readings bearer key'),
    ('Backups', 'backups', 'settings.change', 'restore'),
)
# Other words by which people look for a page.
WORDS = {
    '/users': 'people colleagues roles invite disable', '/access': 'grant revoke partner administrator role delegated',
    '/audit': 'log sign-ins who did what history', '/settings': 'configuration preferences',
    '/settings/prices': 'products price list', '/noc': 'screen tv monitor', '/mail': 'messages e-mails sent waiting',
}  # fmt: skip


@reads(router, '/find', right=SIGNED_IN)
async def find(asking: Asking) -> dict[str, Any]:
    """Customers and prospects that match `q`. Without it: those customers of `recent` (ids by commas) that they see,
    and `places`."""
    user = asking.user
    if words := asking.search('q', LONGEST):
        return {'customers': await find_customers(user, words), 'prospects': await find_prospects(user, words)}
    await help.prepare(user)
    ids = [found for each in asking.text('recent').split(',')[:RECENT] if (found := whole(each)) is not None]
    return {'customers': await these_customers(user, ids) if ids else [], 'places': places(user)}


def places(user: PortalUser) -> list[dict[str, Any]]:
    """Pages, actions and help articles for this person: title, group, and an address or what the page itself does."""
    pages = [
        {
            'group': 'Pages', 'title': f'{group} | {title}' if group == 'Customer' else title, 'href': address,
            'words': WORDS.get(address, ''),
        }
        for group, offered in MENU for title, address, right in offered if not right or may(user, right)
    ]  # fmt: skip
    parts = [
        {'group': 'Pages', 'title': f'Settings | {title}', 'href': f'/settings#{id_}', 'words': words, 'part': True}
        for title, id_, right, words in SETTINGS
        if may(user, right)
    ]
    actions = [
        {'group': 'Actions', 'title': title, 'href': address, 'words': words}
        for title, address, right, words in ACTIONS
        if may(user, right)
    ]
    themes = [
        {'group': 'Actions', 'title': f'Theme: {title}', 'does': f'theme {key}', 'words': 'dark light colours'}
        for key, title in THEMES
    ]
    sign_out = {'group': 'Actions', 'title': 'Sign out', 'does': 'sign out', 'words': 'log off leave'}
    # Where help is elsewhere, only what is made from the portal itself is ours.
    ours = help.of(user).base == '/help'
    articles = [
        {'group': 'Help', 'title': title, 'href': address}
        for title, address in help.articles() if ours or title == help.RIGHTS_TITLE
    ]  # fmt: skip
    return [*pages, *parts, *actions, *themes, sign_out, *articles]
