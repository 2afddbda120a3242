"""The frame around every page: toolbar with menu, live dot and person; the rest belongs to the page."""

import html
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from nicegui import ui

from components import theme
from models import PortalUser
from models.rights import may

# Groups of pages: title, address, and the right without which it is not offered.
MENU = (
    ('', (('Dashboard', '/', ''), ('Prospects', '/prospects', 'prospect.see'), ('Orders', '/orders', 'order.see'))),
    (
        'Customer',
        (
            ('In Progress', '/customers/in-progress', ''),
            ('Complete', '/customers/complete', ''),
            ('Waiting for RFI', '/customers/waiting', ''),
            ('Closed', '/customers/closed', ''),
            ('Connect', '/connect', ''),
        ),
    ),
    (
        'MSP',
        (
            ('Users', '/users', 'user.manage'),
            ('Console access', '/access', 'access.grant'),
            ('Catalogue and prices', '/settings/prices', 'price.see'),
            ('Connect templates', '/settings/templates', 'template.change'),
            ('Settings', '/settings', 'settings.change'),
            ('Mail', '/mail', 'mail.see'),
            ('Audit', '/audit', 'audit.see'),
        ),
    ),
    ('More', (('Wall', '/noc', ''), ('Help', '/help', ''))),
)
THEMES = (('light', 'Light'), ('dark', 'Dark'), ('system', 'System'))

_SHAPES = {
    'menu': '<path class="stroke" d="M2 4.200h12M2 8h12M2 11.800h12"/>',
    'search': '<circle class="stroke" cx="7" cy="7" r="4.300"/><path class="stroke" d="M10.300 10.300L14 14"/>',
    'person': '<circle class="stroke" cx="8" cy="5.500" r="2.700"/>'
    '<path class="stroke" d="M2.800 13.700c.6-2.700 2.700-4 5.200-4s4.600 1.300 5.200 4"/>',
}


class Face(NamedTuple):
    """What the frame shows of the MSP: its name, and the address of its logo or nothing."""

    name: str
    logo: str


def shape(name: str) -> ui.element:
    with ui.element('svg').props('viewBox="0 0 16 16" aria-hidden="true"').classes('shape') as drawn:
        drawn._props['innerHTML'] = _SHAPES[name]
    return drawn


def text(tag: str, content: str, classes: str = '') -> ui.element:
    """A plain HTML element with a text that is never read as HTML."""
    element = ui.element(tag).classes(classes)
    element._text = content
    return element


@contextmanager
def frame(user: PortalUser, face: Face, help_at: str = '/help') -> Generator[None, None, None]:
    """The frame; what is built inside is the page. `help_at` is where the menu's Help leads."""
    ui.add_head_html(theme.head(modules=('live.js', 'shell.js'), chosen=user.theme))
    ui.add_head_html(f'<meta name="portal-zone" content="{html.escape(user.time_zone)}">')
    ui.add_head_html(f'<meta name="portal-user" content="{user.id}">')
    ui.add_body_html(f'<script type="module" src="{theme.asset("shell.js")}"></script>')
    with ui.element('div').classes('app'):
        with ui.element('header').classes('toolbar'):
            with (
                ui.element('button')
                .props('id=menu-button type=button aria-label=Menu aria-controls=menu aria-expanded=false title=Menu')
                .classes('icon-button')
            ):
                shape('menu')
            with ui.element('a').props('href=/ id=brand').classes('brand') as brand:
                brand._props['aria-label'] = f'MSP Portal, {face.name}'
                ui.element('span').classes('brand-mark').props('aria-hidden=true')
                text('span', 'MSP Portal', 'brand-product')
                # A leaf for the framework: assets/shell.js puts in another face when it has changed.
                ui.element('span').classes('brand-face')._props['innerHTML'] = _face(face)
            ui.element('span').classes('grow')
            _find()
            text('span', 'Connecting', 'live-dot').props('id=live-dot role=status')
            _person(user)
        with ui.element('div').classes('page').props('id=page'):  # inside the framework's <main>
            yield
        ui.element('div').classes('drawer-shade').props('id=menu-shade hidden')
        with ui.element('nav').classes('drawer').props('id=menu hidden aria-label=Menu'):
            for group, offered in MENU:
                items = [(title, address) for title, address, right in offered if not right or may(user, right)]
                if group and items:
                    text('div', group, 'nav-group')
                for title, address in items:
                    link = text('a', title, 'nav-item')
                    link._props['href'] = address
                    if address == '/help' and help_at != '/help':
                        link._props.update(href=help_at, target='_blank', rel='noopener')
                    if group == 'Customer':
                        link._props['aria-label'] = f'Customer | {title}'


def _face(face: Face) -> str:
    logo = f'<img class="brand-logo" src="{html.escape(face.logo)}" alt="">' if face.logo else ''
    name = html.escape(face.name)
    return f'{logo}<span class="brand-name" dir="auto" title="{name}">{name}</span>'


def early_frame(title: str, content: str, face: Face) -> str:
    """A picture of the frame in plain HTML, for what is shown before the page framework has started."""
    menu = (
        f'<span class="icon-button"><svg viewBox="0 0 16 16" class="shape" aria-hidden="true">{_SHAPES["menu"]}</svg>'
    )
    return (
        f'<div id="early"><div class="app"><div class="toolbar">{menu}</span><span class="brand">'
        '<span class="brand-mark"></span><span class="brand-product">MSP Portal</span>'
        f'<span class="brand-face">{_face(face)}</span></span></div><div class="page page-list">'
        f'<div class="page-head"><div class="title">{html.escape(title)}</div></div>{content}</div></div></div>'
    )


def _find() -> None:
    """What opens the search over everything (assets/find.js); shell.js says which keys do as well."""
    with ui.element('button').classes('find-button').props('id=find-button type=button aria-haspopup=dialog') as button:
        button._props.update(
            {'aria-label': 'Find anything', 'title': 'Find anything', 'aria-keyshortcuts': 'Control+K'}
        )
        shape('search')
        text('span', 'Find anything', 'find-words')
        text('kbd', 'Ctrl K')


def _person(user: PortalUser) -> None:
    with ui.element('details').classes('menu'):
        with ui.element('summary').classes('icon-button').props('title="You and the theme"') as summary:
            summary._props['aria-label'] = f'{user.name}: account and theme'
            shape('person')
        with ui.element('div').classes('menu-list'):
            with ui.element('div').classes('menu-head'):
                text('div', user.name)
                text('div', user.email, 'quiet small')
            text('a', 'Your account', 'menu-item').props('href=/account')
            text('div', 'Theme', 'nav-group')
            for key, title in THEMES:
                text('button', title, 'menu-item').props(f'type=button data-choose-theme={key} aria-pressed=false')
            with ui.element('form').props('method=post action=/logout'):
                text('button', 'Sign out', 'menu-item').props('type=submit')


def page_head(title: str) -> None:
    with ui.element('div').classes('page-head'):
        text('h1', title)


def not_found() -> None:
    with ui.element('div').classes('page-scroll'):
        page_head('There is nothing here')
        text('p', 'This address leads nowhere, or to something that is not yours to see.', 'quiet')
        with ui.element('p'):
            text('a', 'To the dashboard').props('href=/')
