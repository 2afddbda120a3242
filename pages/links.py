"""Links that open something once – an invitation, another password – and asking for one at sign-in: ordinary forms.

The token stands in the address and nowhere else: not in the page, not in what is logged, and no other site is told
where somebody came from.
"""

import asyncio
import logging
import math

from fastapi import APIRouter, Request
from starlette.responses import Response

from models import LinkKind, OneTimeLink, PortalUser, database
from models.password import MAX_PASSWORD, MIN_PASSWORD
from models.text import printable
from pages.acting import ANYBODY, takes
from pages.sign_in import MAX_EMAIL, address_of, admit, form_of, page, throttle, too_many
from settings import settings

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)

MOST_AT_ONCE = 20  # mails that are being looked into; what comes beyond is dropped, as a flood would be
_looking: set[asyncio.Task[None]] = set()


# The origin, to nobody the path. Not `no-referrer`: a browser then sends a form with `Origin: null`, which the
# guard takes for another site.
REFERRER = 'strict-origin'


def _page(template: str, status: int = 200, **values: object) -> Response:
    answer = page(template, status, **values)
    answer.headers['Referrer-Policy'] = REFERRER
    return answer


def _no_link(error: Exception) -> Response:
    """Whoever holds no token is told nothing; whoever does, why it opens nothing any more."""
    if isinstance(error, OneTimeLink.Closed):
        return _page('link_closed.html', 410, title='This link opens nothing any more', text=str(error))
    text = 'Check that the address is whole: mail programs sometimes break it into two lines.'
    return _page('link_closed.html', 404, title='There is no such link', text=text)


async def _form(kind: LinkKind, token: str, status: int = 200, *, error: str = '', field: str = '') -> Response:
    try:
        link = await OneTimeLink.open(kind, token)
    except (OneTimeLink.Unknown, OneTimeLink.Closed) as gone:
        return _no_link(gone)
    return _page(
        'choose_password.html', status, invites=kind == LinkKind.INVITE, who=link.user, msp=link.user.partner.name,
        min_password=MIN_PASSWORD, max_password=MAX_PASSWORD, error=error, field=field,
    )  # fmt: skip


async def _use(request: Request, kind: LinkKind, token: str) -> Response:
    form = await form_of(request)
    password = form.get('password', '')
    if password != form.get('again', ''):
        return await _form(kind, token, 422, error='The two passwords differ.', field='again')
    try:
        user = await OneTimeLink.use(kind, token, password)
    except PortalUser.WeakPassword as error:
        return await _form(kind, token, 422, error=str(error), field='password')
    except (OneTimeLink.Unknown, OneTimeLink.Closed) as gone:
        return _no_link(gone)
    answer = await admit(request, user, '/')
    answer.headers['Referrer-Policy'] = REFERRER
    return answer


@router.api_route('/invite/{token}', methods=['GET', 'HEAD'])
async def invitation(token: str) -> Response:
    """Looking uses nothing up: scanners of mail open every link."""
    return await _form(LinkKind.INVITE, token)


@takes(router, 'POST', '/invite/{token}', right=ANYBODY)
async def take_up(request: Request, token: str) -> Response:
    return await _use(request, LinkKind.INVITE, token)


@router.api_route('/reset/{token}', methods=['GET', 'HEAD'])
async def another_password(token: str) -> Response:
    return await _form(LinkKind.RESET, token)


@takes(router, 'POST', '/reset/{token}', right=ANYBODY)
async def choose_another(request: Request, token: str) -> Response:
    return await _use(request, LinkKind.RESET, token)


# -- forgotten --------------------------------------------------------------------------------------------------------


@router.api_route('/forgot', methods=['GET', 'HEAD'])
async def forgot_page() -> Response:
    return _page('forgot.html', sends=bool(settings().public_url))


@takes(router, 'POST', '/forgot', right=ANYBODY)
async def forgot(request: Request) -> Response:
    """Always the same answer, before anything is looked up: neither what it says nor how long it takes tells whether
    somebody has this address. The link leads to PORTAL_PUBLIC_URL, never to where the request says it came to."""
    email = printable((await form_of(request)).get('email', '')).lower()[:MAX_EMAIL]
    keys = (f'forgot {email}', f'forgot from {address_of(request)}')
    if (wait := throttle.wait(*keys)) > 0:
        slowed = _page('forgot.html', 429, sends=True, email=email, error=too_many(wait))
        slowed.headers['Retry-After'] = str(math.ceil(wait))
        return slowed
    throttle.failed(*keys)
    given = settings().public_url
    if given and email and len(_looking) < MOST_AT_ONCE:
        task = asyncio.get_running_loop().create_task(_send(email, given))
        _looking.add(task)
        task.add_done_callback(_looking.discard)
    return _page('forgot.html', sends=bool(given), asked=True, email=email)


async def _send(email: str, at: str) -> None:
    try:
        await OneTimeLink.forgotten(email, at=at)
    except database.FAILURES as error:
        database.condition.tell(log, 'a link for another password could not be made', error)
    except Exception:  # the task is nobody's: what failed is told here or nowhere
        log.exception('a link for another password could not be made')
