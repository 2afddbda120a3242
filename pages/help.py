"""Help articles: one for every status, RFI state, Connect step, monitor and role (docs/help)."""

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from nicegui import ui

from components.frame import not_found, text
from models import PortalUser
from settings import settings

ARTICLES = Path(__file__).parent.parent / 'docs' / 'help'
_NAME = re.compile(r'[a-z_]{1,40}')


def base() -> str:
    """Where help links lead: our own articles, or an outside knowledge base with the same paths."""
    return settings().help_url or '/help'


@cache
def article(topic: str, key: str) -> str | None:
    """The article as HTML, or None. The Markdown is ours; raw HTML in it is shown as text all the same."""
    if not _NAME.fullmatch(topic) or not _NAME.fullmatch(key):
        return None
    topics = ('step', 'status') if topic == 'connect' else (topic,)  # a Connect status is a step or more
    places = [ARTICLES / 'index.md'] if topic == 'index' else [ARTICLES / one / f'{key}.md' for one in topics]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    html = MarkdownIt('commonmark', {'html': False}).enable('table').render(path.read_text(encoding='utf-8'))
    return html.replace('<a href="/api/', '<a download href="/api/')  # files, not pages: no in-page move


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
