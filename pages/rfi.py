"""The RFI form: for whoever holds a link to it and has no account, and inside the portal for the MSP's people.

The token stands in the address and nowhere else: not in the page, not in what is logged, and no other site is told
where somebody came from. Nothing of the customer is in the page either: assets/rfi_public.js asks for it.
"""

import math
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from nicegui import ui
from starlette.responses import Response

from components.frame import not_found
from components.island import Island
from models import Contact, Customer, CustomerProduct, PortalUser, Prospect, Rfi, RfiLink, RfiState
from models import rfi_schema as schema
from models.checking import Impossible, Invalid, phone_shown
from models.rfi import FILLING
from models.rfi_knowing import in_dns, services_of
from models.rights import may
from pages.acting import ANYBODY, body_of, find, takes
from pages.answers import answer
from pages.guard import viewer
from pages.sign_in import address_of, page, throttle, too_many

router = APIRouter(include_in_schema=False)

# Not a word to any other site, nor to this one. What the page sends is sent by scripts, whose requests name their
# origin all the same; a form that a browser sends by itself would not.
REFERRER = 'no-referrer'
_UNKNOWN = 'There is no such link. Check that the address is whole: mail programs sometimes break it into two lines.'


# -- what the page shows ----------------------------------------------------------------------------------------------


@cache
def fixed() -> dict[str, Any]:
    """What is the same for everybody and every customer."""
    return {
        'sections': schema.described(), 'most': schema.LONGEST,
        'states': {state.value: title for state, title in TITLES.items()},
    }  # fmt: skip


TITLES = {
    RfiState.NOT_REQUESTED: 'Not sent yet', RfiState.REQUESTED: 'To be filled in', RfiState.DRAFT: 'Being filled in',
    RfiState.SUBMITTED: 'Sent back, to be checked', RfiState.COMPLETE: 'Complete', RfiState.ERROR: 'To be corrected',
    RfiState.NOT_APPLICABLE: 'Not needed',
}  # fmt: skip


async def about(customer: Customer, form: Rfi) -> dict[str, Any]:
    """Section A: who the customer is, as the form begins with it."""
    contacts = {each['kind']: each for each in await Contact.list_of(customer.id)}
    main, lead = contacts.get('main', {}), contacts.get('technical', {})
    reached = [main.get(name, '') for name in ('name', 'email')] + [phone_shown(main.get('phone', '') or '')]
    leads = ', '.join(filter(None, (lead.get('name'), lead.get('email'))))
    products = [row['name'] for row in await CustomerProduct.list_of(customer.id)]
    prospect = await Prospect.filter(customer_id=customer.id).first()
    lines = ', '.join(filter(None, map(str.strip, prospect.address.splitlines()))) if prospect is not None else ''
    return {
        'key': f'rfi {form.id}', 'name': customer.name, 'services': await services_of(customer.id),
        'facts': [
            ['Company', customer.name], ['Address', lines], ['Domain', customer.domain],
            ['Licences', f'{customer.seats:,}' if customer.seats else ''],
            ['Products', ', '.join(products)], ['Main contact', ', '.join(filter(None, reached))],
            ['Implementation lead', leads or form.sent_to],
        ],
    }  # fmt: skip


async def now_of(customer: Customer, form: Rfi) -> dict[str, Any]:
    """The form as it is now: answers, who saved which when, and what is wrong with them one by one."""
    answers = await form.known(customer)
    return {
        'version': form.version, 'state': form.state.value, 'answers': answers, 'edits': form.edits or {},
        'errors': [_read(error) for error in form.errors or []], 'problems': _problems(customer, answers),
        'warnings': form.warnings or [],
        'is_open': form.state in FILLING, 'reopened_because': form.reopened_because,
        'returned_at': form.returned_at, 'returned_by': form.returned_by, 'completed_at': form.completed_at,
        'shown': {key: shown for key in answers if (shown := _shown(key, answers[key]))},
    }  # fmt: skip


def _read(error: dict[str, str]) -> dict[str, str]:
    """What is wrong with a field, in a sentence; also for errors that somebody else than the portal has found."""
    field = str(error.get('field', ''))
    return {'field': field, 'message': schema.sentence(field, str(error.get('message') or 'is not right'))}


def _problems(customer: Customer, answers: dict[str, Any]) -> dict[str, str]:
    found = {}
    for key, value in answers.items():
        if key in schema.FIELDS and value not in schema.NOTHING:
            try:
                schema.check_one(key, value, documentation=customer.is_simulated)
            except Invalid as error:
                found[key] = schema.sentence(key, error.message)
    return found


def _shown(key: str, value: Any) -> list[str]:
    """An answer as it is read, a line each."""
    lines = [schema.shown(key, one) for one in (value if isinstance(value, list) else [value])]
    return [line for line in lines if line]


async def sent_back(form: Rfi, customer: Customer, warnings: list[dict[str, str]]) -> dict[str, Any]:
    """What is told to whoever has sent it back: the form as it is then."""
    return {'now': await now_of(customer, form), 'warnings': warnings}


# -- inside the portal ------------------------------------------------------------------------------------------------


async def rfi_page(id: str, user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    customer = await find(who, id) if who is not None else None
    form = await Rfi.get_or_none(customer_id=customer.id) if customer is not None else None
    if who is None or customer is None:
        not_found()
        return
    config: dict[str, Any] = {'id': customer.id, 'customer': customer.name, 'may': rights_of(who), 'me': who.name}
    if form is not None:
        config |= fixed() | {
            'about': await about(customer, form), 'now': await now_of(customer, form), 'sent_to': form.sent_to,
        }  # fmt: skip
    Island('rfi_page.js', config).style('display: contents')


def rights_of(user: PortalUser) -> dict[str, bool]:
    return {name: may(user, f'rfi.{name}') for name in ('fill', 'send', 'reopen')}


# -- by a link --------------------------------------------------------------------------------------------------------


@router.api_route('/rfi/{token}', methods=['GET', 'HEAD'])
async def by_link(request: Request, token: str) -> Response:
    """The page, with nothing in it but the MSP's name. Looking uses nothing up: scanners of mail open every link."""
    keys = f'rfi {address_of(request)}'
    if (wait := throttle.wait(keys)) > 0:
        return _closed('Too many wrong addresses', too_many(wait), 429)
    try:
        link = await RfiLink.open(token)
    except RfiLink.Unknown:
        throttle.failed(keys)
        return _closed('There is no such link', _UNKNOWN.partition('. ')[2], 404)
    except RfiLink.Closed as error:
        return _closed(
            'This form is complete' if error.is_well else 'This link is closed', str(error), 410, msp=error.msp
        )
    partner = link.customer.partner
    return _private(page('rfi.html', msp=partner.name, logo=bool(partner.logo)))


def _closed(title: str, text: str, status: int, msp: str = '') -> Response:
    return _private(page('rfi_closed.html', status, title=title, text=text, msp=msp))


def _private(response: Response) -> Response:
    response.headers['Referrer-Policy'] = REFERRER
    response.headers['X-Robots-Tag'] = 'noindex'
    return response


Answering = Callable[[RfiLink, Request], Awaitable[dict[str, Any]]]


async def _answered(request: Request, token: str, act: Answering) -> Response:
    """What is told to whoever holds this link, and nobody else; guesses are slowed down as passwords are."""
    keys = f'rfi {address_of(request)}'
    if (wait := throttle.wait(keys)) > 0:
        slowed = answer({'error': too_many(wait)}, 429)
        slowed.headers['Retry-After'] = str(math.ceil(wait))
        return _private(slowed)
    try:
        return _private(answer(await act(await RfiLink.open(token), request)))
    except RfiLink.Unknown:
        throttle.failed(keys)
        return _private(answer({'error': _UNKNOWN}, 404))
    except RfiLink.Closed as error:
        return _private(answer({'error': str(error), 'done': error.is_well}, 410))


@router.get('/rfi/{token}/logo')
async def logo(request: Request, token: str) -> Response:
    try:
        picture = (await RfiLink.open(token)).customer.partner.logo
    except (RfiLink.Unknown, RfiLink.Closed):
        picture = None
    if not picture:
        return _private(answer({'error': 'There is none.'}, 404))
    kept = {'Cache-Control': 'no-store', 'Content-Disposition': 'inline; filename="logo.png"'}
    return _private(Response(bytes(picture), media_type='image/png', headers=kept))


@takes(router, 'POST', '/rfi/{token}/open', right=ANYBODY)
async def open_form(request: Request, token: str) -> Response:
    """Everything that the page shows, asked for by the page itself: so it has been opened by a person."""

    async def act(link: RfiLink, _: Request) -> dict[str, Any]:
        form = await Rfi.get(customer_id=link.customer_id)
        await link.opened()
        return fixed() | {
            'about': await about(link.customer, form), 'now': await now_of(link.customer, form), 'me': link.holder,
            'until': link.expires_at,
        }  # fmt: skip

    return await _answered(request, token, act)


@router.get('/rfi/{token}/now')
async def now(request: Request, token: str) -> Response:
    """The form as it is now; only its version where that is the one that the page has (`version`, `state`)."""

    async def act(link: RfiLink, request: Request) -> dict[str, Any]:
        form = await Rfi.get(customer_id=link.customer_id)
        has, state = request.query_params.get('version'), request.query_params.get('state', form.state.value)
        if has == str(form.version) and state == form.state.value:
            return {'version': form.version, 'state': form.state.value}
        return await now_of(link.customer, form)

    return await _answered(request, token, act)


@router.get('/rfi/{token}/domains')
async def domains(request: Request, token: str) -> Response:
    async def act(link: RfiLink, _: Request) -> dict[str, Any]:
        form = await Rfi.get(customer_id=link.customer_id)
        return {'domains': await in_dns(await form.known(link.customer))}

    return await _answered(request, token, act)


@takes(router, 'POST', '/rfi/{token}/answers', right=ANYBODY)
async def keep_answers(request: Request, token: str) -> Response:
    async def act(link: RfiLink, request: Request) -> dict[str, Any]:
        values, was = answers_in(await body_of(request))
        form = await Rfi.get(customer_id=link.customer_id)
        return await now_of(link.customer, await form.fill(values, was=was, link=link))

    return await _answered(request, token, act)


@takes(router, 'POST', '/rfi/{token}/submit', right=ANYBODY)
async def send_back(request: Request, token: str) -> Response:
    async def act(link: RfiLink, request: Request) -> dict[str, Any]:
        declares = (await body_of(request)).get('declares') is True
        # Each time is written down for good; who corrects in earnest is never held up.
        if (wait := throttle.wait(key := f'rfi sent back {link.id}')) > 0:
            raise Impossible(too_many(wait))
        throttle.failed(key)
        form, warnings = await (await Rfi.get(customer_id=link.customer_id)).submit(declares=declares, link=link)
        return await sent_back(form, link.customer, warnings)

    return await _answered(request, token, act)


def answers_in(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers that were sent, and what stood there before; raises `Invalid`."""
    values, was = body.get('values'), body.get('was')
    if not isinstance(values, dict) or not isinstance(was, dict) or len(values) > len(schema.FIELDS):
        raise Invalid('values', 'is not a set of answers')
    return values, was
