"""The running portal for page tests, with the cast in it, and sockets spoken as plain ASGI."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from nicegui import Client, core
from nicegui.testing import User

from components import live
from components.live_table import TABLES
from models import Customer, Partner, PortalUser, RfiState, Session, sign_in_failure
from pages import face, guard, halfway, help, oidc, sign_in


@pytest.fixture(autouse=True)
def _nothing_of_other_tests() -> Iterator[None]:
    """Module-level state of a process that starts once; here it starts for every test, with another database."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    guard._owners.clear()
    sign_in.throttle._failures.clear()
    halfway.waiting.forget()
    sign_in_failure.forget()
    oidc.forget()
    help._known.clear()
    face._known.clear()
    live._shared.clear()
    live.hub.audiences.clear()
    live.hub.numbers.clear()
    live.hub._gathered.clear()
    for table in TABLES.values():
        table._shared.clear()


@dataclass
class Portal:
    """The portal as main.py starts it, on a SQLite database of its own, with Northwind IT and Fabrikam in it."""

    user: User
    northwind: Any
    fabrikam: Any
    password: str
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def http(self) -> httpx.AsyncClient:
        """The browser of `user`."""
        return self.user.http_client

    @property
    def app(self) -> Any:
        return core.app

    def browser(self, token: str = '', *, base_url: str = 'http://test', **more: Any) -> httpx.AsyncClient:
        """Another browser, with the cookie of this session if there is one."""
        cookies = {guard.COOKIE: token} if token else {}
        transport = httpx.ASGITransport(core.app, **more)
        browser = httpx.AsyncClient(transport=transport, base_url=base_url, cookies=cookies)
        self.browsers.append(browser)
        return browser

    async def session(self, who: PortalUser, **lasts: float) -> tuple[Session, str]:
        """Open a session without the form; gives the row and the token."""
        return await Session.open(who, lasts=timedelta(**lasts or {'hours': 1}), address='127.0.0.1', agent='test')

    async def sign_in(self, who: PortalUser) -> Session:
        """Sign in the browser of `user`."""
        session, token = await self.session(who)
        self.http.cookies.clear()
        self.http.cookies.set(guard.COOKIE, token)
        return session

    async def signed_in(self, who: PortalUser) -> httpx.AsyncClient:
        """Another browser that is signed in."""
        return self.browser((await self.session(who))[1])

    async def open_refused(self, path: str) -> Client:
        """Open a page that is answered with 404, as a browser does; `user.open` takes 200 only."""
        answer = await self.http.get(path)
        assert answer.status_code == 404
        client = Client.instances[re.findall(r"'client_id': '([0-9a-f-]+)'", answer.text)[0]]
        page = {'client_id': client.id, 'tab_id': self.user.tab_id, 'document_id': str(uuid4())}
        await core.sio.handlers['/']['handshake'](f'test-{uuid4()}', page)
        self.user.client = client
        return client

    def texts(self) -> list[str]:
        """What the page of `user` says; NiceGUI's own `should_see` does not look into plain HTML elements."""
        elements = self.user._client.elements.values()
        said = [text for each in elements if (text := each._text or str(getattr(each, 'content', '') or ''))]
        return said + [text for each in elements for text in _strings(each._props.get('config'))]

    def config(self) -> dict[str, Any]:
        """What the island of the page of `user` begins with."""
        return next(c for each in self.user._client.elements.values() if (c := each._props.get('config')))

    async def should_see(self, text: str) -> None:
        for _ in range(100):
            if any(text in each for each in self.texts()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f'{text!r} is not among {self.texts()}')

    async def add(self, partner: Partner, name: str, **facts: Any) -> Customer:
        """A customer whose RFI is back, so that it is listed, unless `facts` say otherwise."""
        code = facts.pop('account_code', f'{partner.slug[:4].upper()}{await Customer.all().count() + 1:04}')
        facts = {'rfi': RfiState.NOT_APPLICABLE, **facts}
        return await Customer.add(partner, name=name, account_code=code, **facts)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


@pytest.fixture
async def portal(
    sqlite_file: object,
    user: User,
    make_northwind: Callable[[], Awaitable[Any]],
    make_fabrikam: Callable[[], Awaitable[Any]],
    password: str,
) -> AsyncIterator[Portal]:
    portal = Portal(user, await make_northwind(), await make_fabrikam(), password)
    yield portal
    for browser in portal.browsers:
        await browser.aclose()


@pytest.fixture
async def empty_portal(sqlite_file: object, user: User, password: str) -> AsyncIterator[Portal]:
    """The portal at its very first start: no MSP, nobody."""
    portal = Portal(user, None, None, password)
    yield portal
    for browser in portal.browsers:
        await browser.aclose()


class Wire:
    """A websocket as an ASGI application sees it, from the other end."""

    def __init__(self, app: Any, path: str, *, headers: dict[str, str] | None = None, query: str = '') -> None:
        given = {'host': 'test', 'origin': 'http://test', **(headers or {})}
        self.app = app
        self.scope: dict[str, Any] = {
            'type': 'websocket', 'asgi': {'version': '3.0'}, 'http_version': '1.1', 'scheme': 'ws', 'path': path,
            'raw_path': path.encode(), 'query_string': query.encode(), 'root_path': '', 'subprotocols': [],
            'headers': [(name.encode(), value.encode('latin-1')) for name, value in given.items() if value is not None],
            'client': ('127.0.0.1', 50000), 'server': ('test', 80), 'state': {}, 'extensions': {},
        }  # fmt: skip
        self.said: asyncio.Queue[dict] = asyncio.Queue()
        self.to_say: asyncio.Queue[dict] = asyncio.Queue()

    async def __aenter__(self) -> 'Wire':
        async def send(message: Any) -> None:
            await self.said.put(message)

        self.to_say.put_nowait({'type': 'websocket.connect'})
        self._talking = asyncio.ensure_future(self.app(self.scope, self.to_say.get, send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.to_say.put_nowait({'type': 'websocket.disconnect', 'code': 1001})
        try:
            await asyncio.wait_for(self._talking, 5)
        except TimeoutError:
            self._talking.cancel()
            raise

    async def heard(self) -> dict:
        """The next message of the application."""
        return await asyncio.wait_for(self.said.get(), 5)

    def say(self, text: str) -> None:
        self.to_say.put_nowait({'type': 'websocket.receive', 'text': text})


@pytest.fixture
def wire() -> type[Wire]:
    return Wire
