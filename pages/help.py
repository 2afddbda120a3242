"""Help articles: one for every status, RFI state, Connect step, monitor and role (docs/help)."""

import html
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from nicegui import ui

from components.frame import not_found, text
from models import PortalRole, PortalUser
from models.rights import ABOUT, GROUPS
from pages.known import Known
from settings import settings

ARTICLES = Path(__file__).parent.parent / 'docs' / 'help'
# The article that is made from the table of rights itself.
RIGHTS, RIGHTS_TITLE = ('access', 'rights'), 'What each role may do'
_NAME = re.compile(r'[a-z_]{1,40}')


class Help(NamedTuple):
    """Where help leads for the people of an MSP: a base with the paths of our articles, and for some articles an
    address of their own, by their path (`step/journaling`)."""

    base: str
    own: dict[str, str]


_known = Known(lambda partner: Help(partner.help_base.rstrip('/'), dict(partner.help_links)))


async def prepare(user: PortalUser) -> None:
    """Read where help leads for this person, so that `of` knows; asked of the database only after a change."""
    await _known.prepare(user.partner_id)


def of(user: PortalUser) -> Help:
    """Where help leads for this person; pages that are open keep what they have until they are loaded anew."""
    known = _known.get(user.partner_id) or Help('', {})
    return known if known.base else known._replace(base=base())


def base() -> str:
    """Where help links lead where the MSP says nothing: our own articles, or an outside knowledge base."""
    return settings().help_url or '/help'


@cache
def article(topic: str, key: str) -> str | None:
    """The article as HTML, or None. The Markdown is ours; raw HTML in it is shown as text all the same."""
    if not _NAME.fullmatch(topic) or not _NAME.fullmatch(key):
        return None
    if (topic, key) == RIGHTS:
        return _rights()
    topics = ('step', 'status') if topic == 'connect' else (topic,)  # a Connect status is a step or more
    places = [ARTICLES / 'index.md'] if topic == 'index' else [ARTICLES / one / f'{key}.md' for one in topics]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    made = MarkdownIt('commonmark', {'html': False}).enable('table').render(path.read_text(encoding='utf-8'))
    return made.replace('<a href="/api/', '<a download href="/api/')  # files, not pages: no in-page move


@cache
def articles() -> list[tuple[str, str]]:
    """Title and address of every article."""
    found = [
        (path.read_text(encoding='utf-8').partition('\n')[0].removeprefix('# ').strip(), path)
        for path in sorted(ARTICLES.rglob('*.md')) if path.name != 'index.md'
    ]  # fmt: skip
    named = [(title, f'/help/{path.parent.name}/{path.stem}') for title, path in found]
    return sorted([*named, (RIGHTS_TITLE, '/help/' + '/'.join(RIGHTS))])


def _rights() -> str:
    """Who may do what: the table of `models.rights`, which is also what pages, routes and verbs ask."""
    roles = list(PortalRole)
    heads = ''.join(f'<th scope="col">{html.escape(role.title)}</th>' for role in roles)
    yes = '<td class="may"><span aria-hidden="true">✓</span><span class="sr-only">Yes</span></td>'
    no = '<td class="may"><span aria-hidden="true" class="quiet">–</span><span class="sr-only">No</span></td>'
    parts = [
        f'<h1>{RIGHTS_TITLE}</h1><p>Everybody has one role in the portal. It says what somebody may do; which '
        'customers they see is set for each person, and which role they hold in a customer’s Administration Console '
        '(<a href="/help/role/partner_administrator">Partner Administrator</a> and others) for each customer. An MSP '
        'administrator gives the roles.</p><dl class="roles">'
        + ''.join(f'<dt>{html.escape(role.title)}</dt><dd>{html.escape(ABOUT[role])}</dd>' for role in roles)
        + '</dl>'
    ]
    for group, rights in GROUPS.items():
        lines = []
        for right in rights.values():
            note = f'<span class="quiet small">{html.escape(right.note)}</span>' if right.note else ''
            cells = ''.join(yes if role in right.roles else no for role in roles)
            lines.append(f'<tr><th scope="row">{html.escape(right.title)}{note}</th>{cells}</tr>')
        parts.append(
            f'<h2>{html.escape(group)}</h2><div class="rights-box" tabindex="0" role="region" '
            f'aria-label="{html.escape(group)}"><table class="rights"><thead><tr><th scope="col">Action</th>'
            f'{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        )
    return ''.join(parts)


def index_page(user: PortalUser) -> None:
    _show(article('index', 'index') or '', is_index=True)


def article_page(topic: str, key: str, user: PortalUser) -> None:
    html = article(topic, key)
    if html is None:
        not_found()
    else:
        _show(html)


def _show(html: str, *, is_index: bool = False) -> None:
    with ui.element('div').classes('page-scroll page-read'):
        if not is_index:
            text('a', 'Help', 'back').props('href=/help')
        ui.html(html, sanitize=False).classes('article')
