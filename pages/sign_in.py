"""Signing in and out, and the first start: ordinary forms, so that password managers understand them."""

import asyncio
import hmac
import math
import secrets
import time
from collections import OrderedDict
from datetime import timedelta
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from components import theme
from models import Partner, PortalRole, PortalUser, Session
from models.partner import TAGLINE
from models.text import printable
from models.user import MIN_PASSWORD
from pages.acting import ANYBODY, SESSION, takes
from pages.guard import COOKIE
from settings import settings

router = APIRouter(include_in_schema=False)
templates = Environment(loader=PackageLoader('pages', 'templates'), autoescape=select_autoescape(default=True))

MAX_FORM = 16_384
MAX_EMAIL = 254
FREE_TRIES = 5
LONGEST_WAIT = 60.0
REMEMBERED = 10_000


class Throttle:
    """Slows repeated failures down: after five, each doubles the wait, up to a minute; forgotten after 15 minutes.

    Kept in memory and bounded: an attacker with many addresses pushes out old entries, not the machine.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, *keys: str) -> float:
        """Seconds until somebody under all of these keys may try again."""
        now = time.monotonic()
        return max((0.0, *(self._until(key) - now for key in keys)))

    def _until(self, key: str) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < FREE_TRIES or time.monotonic() - last > 900:
            return 0.0
        return last + min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES))

    def failed(self, *keys: str) -> None:
        now = time.monotonic()
        for key in keys:
            count, last = self._failures.pop(key, (0, now))
            self._failures[key] = (count + 1 if now - last <= 900 else 1, now)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        for key in keys:
            self._failures.pop(key, None)

    def take_back(self, key: str) -> None:
        """One attempt that was counted as a failure was none."""
        count, last = self._failures.get(key, (0, 0.0))
        if count > 1:
            self._failures[key] = (count - 1, last)
        else:
            self._failures.pop(key, None)


throttle = Throttle()
set_up_code = secrets.token_hex(4)
_setting_up = asyncio.Lock()  # one after the other: the second finds the MSP of the first


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    html = templates.get_template(template).render(head=theme.head(), **values)
    return HTMLResponse(html, status, headers={'Cache-Control': 'no-store'})


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a small form; one that is huge, or has too many fields, is read as an empty one."""
    body = b''
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            return {}
    try:
        parsed = parse_qs(body.decode('utf-8', 'replace'), keep_blank_values=True, max_num_fields=50)
    except ValueError:  # more fields than any form of ours has
        return {}
    return {name: values[0] for name, values in parsed.items()}


def safe_target(target: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    if target.startswith('/') and not target.startswith('//') and '\\' not in target and target.isprintable():
        return target[:500]
    return '/'


def address_of(request: Request) -> str:
    return request.client.host if request.client else ''


@router.api_route('/login', methods=['GET', 'HEAD'])
async def login_page(request: Request) -> Response:
    if not await Partner.exists():
        return RedirectResponse('/setup', 303)
    if await Session.live(request.cookies.get(COOKIE, '')):
        return RedirectResponse(safe_target(request.query_params.get('next', '/')), 303)
    return page('login.html', next=safe_target(request.query_params.get('next', '/')), demo=settings().demo)


@takes(router, 'POST', '/login', right=ANYBODY)
async def login(request: Request) -> Response:
    form = await form_of(request)
    email, password, target = form.get('email', ''), form.get('password', ''), safe_target(form.get('next', '/'))
    # Spelt as `PortalUser.signing_in` reads it, or every spelling of one account would have tries of its own.
    account, address = f'account {printable(email).lower()[:MAX_EMAIL]}', f'address {address_of(request)}'

    def again(message: str, status: int) -> HTMLResponse:
        return page('login.html', status, next=target, email=email[:MAX_EMAIL], error=message, demo=settings().demo)

    if (wait := throttle.wait(account, address)) > 0:
        return _slowed_down(again(_too_many(wait), 429), wait)
    # Counted before the password is looked at, which takes a while: a burst sent at the same moment gets no free tries.
    throttle.failed(account, address)
    user = await PortalUser.signing_in(email, password)
    if user is None:
        return again('This e-mail address and password do not match. Check both and try again.', 401)
    throttle.succeeded(account)
    throttle.take_back(address)
    return await _signed_in(request, user, target)


def _too_many(wait: float) -> str:
    seconds = math.ceil(wait)
    return f'Too many attempts. Wait {seconds} second{"s" if seconds != 1 else ""} and try again.'


def _slowed_down(response: HTMLResponse, wait: float) -> HTMLResponse:
    response.headers['Retry-After'] = str(math.ceil(wait))
    return response


async def _signed_in(request: Request, user: PortalUser, target: str) -> Response:
    hours = settings().session_hours
    if old := await Session.live(request.cookies.get(COOKIE, '')):
        await old.end(because='signed in again')
    _, token = await Session.open(
        user, lasts=timedelta(hours=hours), address=address_of(request), agent=request.headers.get('user-agent', '')
    )
    response = RedirectResponse(target, 303)
    response.set_cookie(
        COOKIE, token, max_age=hours * 3600, httponly=True, samesite='lax', secure=request.url.scheme == 'https'
    )
    return response


@takes(router, 'POST', '/logout', right=SESSION)
async def logout(request: Request) -> Response:
    session: Session = request.scope['state']['session']
    await session.end(because='signed out')
    response = RedirectResponse('/login', 303)
    response.delete_cookie(COOKIE)
    return response


@router.get('/setup')
async def setup_page() -> Response:
    if await Partner.exists():
        return RedirectResponse('/login', 303)
    return page('setup.html', values={}, min_password=MIN_PASSWORD)


@takes(router, 'POST', '/setup', right=ANYBODY)
async def setup(request: Request) -> Response:
    if await Partner.exists():
        return RedirectResponse('/login', 303)
    form = await form_of(request)
    address = f'setup {address_of(request)}'

    def again(message: str, field: str, status: int = 422) -> HTMLResponse:
        kept = {key: form.get(key, '')[:MAX_EMAIL] for key in ('code', 'msp', 'name', 'email')}
        return page('setup.html', status, values=kept, error=message, field=field, min_password=MIN_PASSWORD)

    if (wait := throttle.wait(address)) > 0:
        return _slowed_down(again(_too_many(wait), 'code', 429), wait)
    if not hmac.compare_digest(form.get('code', '').strip().lower().encode(), set_up_code.encode()):
        throttle.failed(address)
        return again('This is not the code that the console shows. Look for “set-up code”.', 'code', 403)
    if not printable(form.get('msp', '')):
        return again('Say what your company is called.', 'msp')
    if form.get('password', '') != form.get('again', ''):
        return again('The two passwords differ.', 'again')
    try:
        async with _setting_up:
            if await Partner.exists():
                return RedirectResponse('/login', 303)
            user = await set_up(form['msp'], form.get('name', ''), form.get('email', ''), form.get('password', ''))
    except PortalUser.WeakPassword as error:
        return again(str(error), 'password')
    except (PortalUser.EmailTaken, ValueError) as error:
        return again(str(error), 'email')
    return await _signed_in(request, user, '/')


async def set_up(msp: str, name: str, email: str, password: str) -> PortalUser:
    """Create the MSP and its first administrator, or neither."""
    from models.events import transaction
    from models.user import check_password

    check_password(password)
    domain = email.strip().rpartition('@')[2]
    if len(f'{TAGLINE}@{domain}') > MAX_EMAIL:
        raise ValueError('This e-mail address is too long.')
    async with transaction():
        partner = await Partner.set_up(msp, domain=domain)
        return await PortalUser.register(
            partner, name=name, email=email, password=password, role=PortalRole.ADMINISTRATOR
        )
