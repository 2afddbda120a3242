"""Signing in and out, and the first start: ordinary forms, so that password managers understand them."""

import asyncio
import contextlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response

from components import qr, theme
from models import Partner, PortalRole, PortalUser, Session, second_factor, sign_in_failure
from models.checking import Impossible, Invalid
from models.partner import TAGLINE
from models.password import MIN_PASSWORD
from models.text import printable
from models.user import UserState
from pages import halfway
from pages.acting import ANYBODY, SESSION, takes
from pages.guard import forget_token, keep_token, token_of
from pages.halfway import Halfway, waiting
from settings import settings

router = APIRouter(include_in_schema=False)
templates = Environment(loader=PackageLoader('pages', 'templates'), autoescape=select_autoescape(default=True))
templates.globals['asset'] = theme.asset

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
        # How many, when the last one was, and when the one before it.
        self._failures: OrderedDict[str, tuple[int, float, float]] = OrderedDict()

    def wait(self, *keys: str) -> float:
        """Seconds until somebody under all of these keys may try again."""
        now = time.monotonic()
        return max((0.0, *(self._until(key) - now for key in keys)))

    def _until(self, key: str) -> float:
        count, last, _ = self._failures.get(key, (0, 0.0, 0.0))
        if count < FREE_TRIES or time.monotonic() - last > 900:
            return 0.0
        return last + min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES))

    def failed(self, *keys: str) -> None:
        now = time.monotonic()
        for key in keys:
            count, last, _ = self._failures.pop(key, (0, now, now))
            self._failures[key] = (count + 1 if now - last <= 900 else 1, now, last)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        for key in keys:
            self._failures.pop(key, None)

    def take_back(self, key: str) -> None:
        """One attempt that was counted as a failure was none: as if it had not been, also in what it delays."""
        count, _, before = self._failures.get(key, (0, 0.0, 0.0))
        if count > 1:
            self._failures[key] = (count - 1, before, before)
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
    """Where to go after signing in: a path of ours, never another site.

    Two slashes together are refused anywhere in the path: `/.//host` would be read as `//host` once more.
    """
    path = target.partition('?')[0].partition('#')[0]
    if path.startswith('/') and '//' not in path and '\\' not in target and target.isprintable():
        return target[:500]
    return '/'


def address_of(request: Request) -> str:
    return request.client.host if request.client else ''


@router.api_route('/login', methods=['GET', 'HEAD'])
async def login_page(request: Request) -> Response:
    if not await Partner.exists():
        return RedirectResponse('/setup', 303)
    if await Session.live(token_of(request)):
        return RedirectResponse(safe_target(request.query_params.get('next', '/')), 303)
    return login_form(target=safe_target(request.query_params.get('next', '/')))


def login_form(status: int = 200, *, target: str = '/', email: str = '', error: str = '') -> HTMLResponse:
    given = settings()
    return page(
        'login.html', status, next=target, email=email[:MAX_EMAIL], error=error, demo=given.demo,
        provider=given.oidc_name if given.oidc_issuer else '',
    )  # fmt: skip


@takes(router, 'POST', '/login', right=ANYBODY)
async def login(request: Request) -> Response:
    form = await form_of(request)
    email, password, target = form.get('email', ''), form.get('password', ''), safe_target(form.get('next', '/'))
    # Spelt as `PortalUser.signing_in` reads it, or every spelling of one account would have tries of its own.
    account, address = f'account {printable(email).lower()[:MAX_EMAIL]}', f'address {address_of(request)}'

    def again(message: str, status: int) -> HTMLResponse:
        return login_form(status, target=target, email=email, error=message)

    if (wait := throttle.wait(account, address)) > 0:
        return _slowed_down(again(too_many(wait), 429), wait)
    # Counted before the password is looked at, which takes a while: a burst sent at the same moment gets no free tries.
    throttle.failed(account, address)
    user = await PortalUser.signing_in(email, password)
    if user is None:
        answer = again('This e-mail address and password do not match. Check both and try again.', 401)
        # After the answer: how long it takes must not tell whether there is such an account.
        answer.background = BackgroundTask(_tell, email, request, throttle.wait(account) > 0)
        return answer
    throttle.succeeded(account)
    throttle.take_back(address)
    return await admit(request, user, target)


_WHY = {
    UserState.REGISTERED: 'the password was wrong', UserState.DISABLED: 'the account is disabled',
    UserState.INVITED: 'no password has been chosen yet', UserState.GENERIC: 'nobody signs in with this account',
}  # fmt: skip


async def _tell(email: str, request: Request, slowed: bool) -> None:
    user = await PortalUser.get_or_none(email=printable(email).lower()[:MAX_EMAIL])
    why = _WHY[user.state] if user else 'nobody has this e-mail address'
    await sign_in_failure.tell(user, address_of(request), why, slowed=slowed)


def too_many(wait: float) -> str:
    seconds = math.ceil(wait)
    return f'Too many attempts. Wait {seconds} second{"s" if seconds != 1 else ""} and try again.'


def _slowed_down(response: Response, wait: float) -> Response:
    if wait > 0:
        response.headers['Retry-After'] = str(math.ceil(wait))
    return response


# -- after the first factor -------------------------------------------------------------------------------------------


async def admit(request: Request, user: PortalUser, target: str) -> Response:
    """The one door behind the first factor (a password, a link that was sent, an OIDC provider): the second factor
    where the person has one, setting it up where the MSP wants it of everyone, and then a session."""
    user, target = await PortalUser.get(id=user.id), safe_target(target)
    if not user.is_active:
        return login_form(403, error='This account cannot sign in. Ask an administrator of your MSP.')
    if second_factor.is_on(user):
        return _half_admitted(request, user, target, '/login/code')
    if await second_factor.must_enrol(user):
        return _half_admitted(request, user, target, '/login/enrol')
    return await _signed_in(request, user, RedirectResponse(target, 303))


def _half_admitted(request: Request, user: PortalUser, target: str, step: str) -> Response:
    response = RedirectResponse(step, 303)
    halfway.keep(response, request, halfway.COOKIE, waiting.begin(user, target), halfway.LASTS)
    return response


async def _signed_in(request: Request, user: PortalUser, response: Response) -> Response:
    """Open a session and give its token to the browser with this answer."""
    hours = settings().session_hours
    if old := await Session.live(token_of(request)):
        await old.end(because='signed in again')
    _, token = await Session.open(
        user, lasts=timedelta(hours=hours), address=address_of(request), agent=request.headers.get('user-agent', '')
    )
    keep_token(response, request, token, hours * 3600)
    halfway.let_go(response, request, halfway.COOKIE)
    return response


def _too_late(request: Request) -> Response:
    response = login_form(401, error='That took too long, or a code was wrong too often. Sign in again.')
    halfway.let_go(response, request, halfway.COOKIE)
    return response


@dataclass
class _Second:
    """The second step of somebody: their promise with its token, who they are, and what they typed."""

    token: str
    half: Halfway
    user: PortalUser
    typed: str


async def _second_step(request: Request) -> _Second | None:
    """The second step of whoever asks; None where they are not halfway, or not any more."""
    typed = (await form_of(request)).get('code', '') if request.method == 'POST' else ''
    token = halfway.held(request, halfway.COOKIE)
    found = await waiting.find(token)
    return found and _Second(token, *found, typed)


@router.get('/login/code')
async def code_page(request: Request) -> Response:
    if await _second_step(request) is None:
        return RedirectResponse('/login', 303)
    return page('code.html')


@takes(router, 'POST', '/login/code', right=ANYBODY)
async def code(request: Request) -> Response:
    second = await _second_step(request)
    if second is None:
        return _too_late(request)
    user, half = second.user, second.half
    if not second_factor.is_on(user):  # turned off or reset meanwhile
        waiting.end(second.token)
        return await admit(request, user, half.target)
    refusal = await _guess(request, second, lambda: second_factor.verify(user, second.typed))
    if refusal is not None:
        message, status, wait = refusal
        return _slowed_down(page('code.html', status, error=message), wait)
    if not waiting.end(second.token):
        return _too_late(request)
    return await _signed_in(request, user, RedirectResponse(half.target, 303))


async def _guess(
    request: Request, second: _Second, is_right: Callable[[], Awaitable[bool]]
) -> tuple[str, int, float] | None:
    """Let somebody try a code, no faster than passwords can be tried; None where it is right, else what to say."""
    user = second.user
    account, address = f'code {user.id}', f'address {address_of(request)}'
    if (wait := throttle.wait(account, address)) > 0:
        return too_many(wait), 429, wait
    throttle.failed(account, address)
    second.half.tries += 1
    if await is_right():
        throttle.succeeded(account)
        throttle.take_back(address)
        return None
    slowed = throttle.wait(account) > 0
    await sign_in_failure.tell(user, address_of(request), 'the code was wrong', slowed=slowed)
    return 'This code is not right, or was used before. Wait for the next one and type that.', 401, 0.0


@router.get('/login/enrol')
async def enrol_page(request: Request) -> Response:
    second = await _second_step(request)
    if second is None:
        return RedirectResponse('/login', 303)
    return await _enrolling(second.half, second.user)


@takes(router, 'POST', '/login/enrol', right=ANYBODY)
async def enrol(request: Request) -> Response:
    second = await _second_step(request)
    if second is None:
        return _too_late(request)
    user, half = second.user, second.half
    if second_factor.is_on(user) or not half.sealed_key or user.totp_key != half.sealed_key:
        return await _enrolling(half, user, 'This was begun anew in another window. Scan this code instead.', 409)
    codes: list[str] = []

    async def is_right() -> bool:
        with contextlib.suppress(Invalid):
            codes.extend(await second_factor.confirm(user, second.typed))
        return bool(codes)

    try:
        refusal = await _guess(request, second, is_right)
    except Impossible as error:
        return await _enrolling(half, user, str(error), 409)
    if refusal is not None:
        message, status, wait = refusal
        return _slowed_down(await _enrolling(half, user, message, status), wait)
    waiting.end(second.token)
    return await _signed_in(request, user, page('codes.html', codes=codes, target=half.target))


async def _enrolling(half: Halfway, user: PortalUser, error: str = '', status: int = 200) -> Response:
    """The form with the key. A browser is shown a key of its own: one that somebody else has seen is worth nothing."""
    if second_factor.is_on(user):  # set up in another window meanwhile
        return RedirectResponse('/login/code', 303)
    key = await second_factor.begun(user) if half.sealed_key and half.sealed_key == user.totp_key else None
    if key is None:
        key = await second_factor.begin(user)
        half.sealed_key = user.totp_key
    return page(
        'enrol.html', status, error=error, key=in_fours(key), qr=qr.svg(second_factor.address(user, key)),
        email=user.email,
    )  # fmt: skip


def in_fours(key: str) -> str:
    """A key as people can read it aloud."""
    return ' '.join(key[i : i + 4] for i in range(0, len(key), 4))


@takes(router, 'POST', '/logout', right=SESSION)
async def logout(request: Request) -> Response:
    session: Session = request.scope['state']['session']
    await session.end(because='signed out')
    response = RedirectResponse('/login', 303)
    forget_token(response, request)
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
        return _slowed_down(again(too_many(wait), 'code', 429), wait)
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
    return await admit(request, user, '/')


async def set_up(msp: str, name: str, email: str, password: str) -> PortalUser:
    """Create the MSP and its first administrator, or neither."""
    from models.events import transaction
    from models.user import check_password

    check_password(password, email=email, name=name, msp=msp)
    domain = email.strip().rpartition('@')[2]
    if len(f'{TAGLINE}@{domain}') > MAX_EMAIL:
        raise ValueError('This e-mail address is too long.')
    async with transaction():
        partner = await Partner.set_up(msp, domain=domain)
        return await PortalUser.register(
            partner, name=name, email=email, password=password, role=PortalRole.ADMINISTRATOR
        )
