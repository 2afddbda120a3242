"""Signing on to a customer's Administration Console, and the keys by which consoles know the portal's assertions."""

import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from components import theme
from models import AdminConsole, Customer, Partner, PortalUser, SigningKey
from models.checking import Impossible
from models.partner import TwoFactorRule
from pages.acting import find, takes
from pages.answers import answer
from pages.guard import session_of, user_of
from pages.proxies import base_url, is_own_origin
from pages.sign_in import page, templates

router = APIRouter(include_in_schema=False)

JWKS_KEPT = 300  # seconds for which a console may keep the keys
_SUBMIT = 'document.forms[0].requestSubmit()'
_REPLACE = 'location.replace(document.links[0].href)'


@router.get('/.well-known/jwks.json')
async def jwks() -> Response:
    """The public keys of the portal (RFC 7517); anybody may read them."""
    found = answer(await SigningKey.published())
    found.headers['Cache-Control'] = f'public, max-age={JWKS_KEPT}'
    return found


@takes(router, 'POST', '/customers/{customer_id}/console', right='console.open')
async def open_console(request: Request, customer_id: str) -> Response:
    """What the Admin Console button posts to, in a tab of its own: everything is asked anew, and nothing is kept."""
    # The guard refuses other sites; who says nothing of where they come from is no browser with our button either.
    if not is_own_origin(request.headers.get('origin'), request):
        return _refused(
            403, 'This request does not come from the portal. Use the Admin Console button of the customer.'
        )
    user = user_of(request)
    customer = await find(user, customer_id)
    if customer is None:
        return page(
            'error.html', 404, title='There is nothing here', text='This customer is not there, or not for you.'
        )
    try:
        if await _lacks_second_factor(request, user):
            return _refused(
                409, 'Your MSP wants two-factor for signing on to consoles, and yours is not on. Turn it on under your '
                'account, then press Admin Console again.', customer, way=('/account', 'To your account'),
            )  # fmt: skip
        issuer = base_url(request)
        sign_on = await AdminConsole.sign_on_to(customer, by=user, issuer=issuer)
    except Impossible as error:
        return _refused(409, str(error), customer)
    address = issuer + sign_on.address if sign_on.address.startswith('/') else sign_on.address
    return _sent(customer, address, sign_on.assertion)


async def _lacks_second_factor(request: Request, user: PortalUser) -> bool:
    """Whether the MSP wants a second factor and this session has not proven one."""
    from models.second_factor import satisfied

    rule = (await Partner.get(id=user.partner_id)).two_factor
    return rule != TwoFactorRule.OFF and not await satisfied(user, session_of(request))


def _refused(status: int, text: str, customer: Customer | None = None, *, way: tuple[str, str] = ('', '')) -> Response:
    """`way` leads on, where there is something that one can do: its address and what it is called."""
    title = f'No sign-on to {customer.name}' if customer else 'No sign-on'
    return page('error.html', status, title=title, text=text, way=way)


def _sent(customer: Customer, address: str, assertion: str) -> Response:
    """A page that goes on to the console by itself, or by its button where scripts are off.

    To the vendor's address it leads by a link: browsers hold the answer to a form to the form-action of the page it was
    on, so a redirect would be stopped. The assertion is posted, and this page may post there and nowhere else.
    """
    script = _SUBMIT if assertion else _REPLACE
    html = templates.get_template('console_opening.html').render(
        head=theme.head(), customer=customer, address=address, assertion=assertion, script=script,
        host=urlsplit(address).netloc,
    )  # fmt: skip
    return HTMLResponse(html, headers={
        'Cache-Control': 'no-store', 'Referrer-Policy': 'strict-origin' if assertion else 'no-referrer',
        'Content-Security-Policy': policy(script, form_action=_origin(address) if assertion else "'none'"),
    })  # fmt: skip


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f'{parts.scheme}://{parts.netloc}'


def policy(script: str = '', *, form_action: str = "'none'") -> str:
    """A Content-Security-Policy for a page with this one script, that of the theme, and our own style."""
    named = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = theme.SCRIPT_HASH + (f" 'sha256-{named}'" if script else '')
    return (
        f"default-src 'none'; script-src {scripts}; "
        f"style-src 'self' {theme.style_hash()}; img-src 'self'; form-action {form_action}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def as_template(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of ours outside the frame, with the strictest policy."""
    html = templates.get_template(name).render(head=theme.head(), **values)
    return HTMLResponse(html, status, headers={'Cache-Control': 'no-store', 'Content-Security-Policy': policy()})
