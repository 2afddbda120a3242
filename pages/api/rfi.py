"""What the RFI form inside the portal asks for and sends, and what is done about the links to it."""

from typing import Any

from fastapi import APIRouter, Request

from models import Customer, Partner, Rfi, RfiLink
from models.checking import Impossible, Invalid
from models.rfi import FILLING
from models.rfi_knowing import in_dns
from pages.acting import Acting, Asking, acts, reads
from pages.answers import NotThere
from pages.rfi import answers_in, now_of, rights_of, sent_back
from settings import settings

router = APIRouter(prefix='/api/ui', include_in_schema=False)

MOST = 200  # customers whose links are sent or revoked at once


async def _form(asking: Asking) -> Rfi:
    form = await Rfi.get_or_none(customer_id=asking.customer.id)
    if form is None:
        raise NotThere
    return form


def _at(request: Request) -> str:
    """Where the portal is, for a link that somebody else opens."""
    return settings().public_url or str(request.base_url).rstrip('/')


@reads(router, '/customers/{customer_id}/rfi', right='customer.see')
async def rfi_now(asking: Asking) -> dict[str, Any]:
    """The form as it is now, and what of it this person may."""
    return {'now': await now_of(asking.customer, await _form(asking)), 'may': rights_of(asking.user)}


@reads(router, '/customers/{customer_id}/rfi/domains', right='rfi.fill')
async def domains(asking: Asking) -> dict[str, Any]:
    """What DNS says of the domains that were answered."""
    return {'domains': await in_dns(await (await _form(asking)).known(asking.customer))}


@acts(router, 'POST', '/customers/{customer_id}/rfi/answers', right='rfi.fill')
async def keep_answers(acting: Acting) -> dict[str, Any]:
    values, was = answers_in(acting.body)
    return await now_of(acting.customer, await (await _form(acting)).fill(values, was=was, by=acting.user))


@acts(router, 'POST', '/customers/{customer_id}/rfi/submit', right='rfi.fill')
async def send_back(acting: Acting) -> dict[str, Any]:
    form, warnings = await (await _form(acting)).submit(declares=acting.body.get('declares') is True, by=acting.user)
    return await sent_back(form, acting.customer, warnings)


@acts(router, 'POST', '/customers/{customer_id}/rfi/check', right='rfi.fill')
async def check(acting: Acting) -> dict[str, Any]:
    """Check a form that came back outside of the portal."""
    form, warnings = await (await _form(acting)).check(by=acting.user)
    return await sent_back(form, acting.customer, warnings)


@acts(router, 'POST', '/customers/{customer_id}/rfi/reopen', right='rfi.reopen')
async def reopen(acting: Acting) -> dict[str, Any]:
    form = await (await _form(acting)).reopen(acting.text('because'), by=acting.user)
    return {'now': await now_of(acting.customer, form)}


# -- links ------------------------------------------------------------------------------------------------------------


@reads(router, '/customers/{customer_id}/rfi/links', right='rfi.send')
async def links(asking: Asking) -> dict[str, Any]:
    """How the form was sent, and the newest links to it."""
    form = await _form(asking)
    return {
        'sent_to': form.sent_to, 'requested_at': form.requested_at, 'opened_at': form.opened_at,
        'reminders': form.reminders, 'remind_at': form.remind_at if form.state in FILLING else None,
        'is_open': form.state in FILLING, 'links': await RfiLink.list_of(asking.customer.id),
    }  # fmt: skip


@acts(router, 'POST', '/customers/{customer_id}/rfi/send', right='rfi.send')
async def send(acting: Acting) -> dict[str, Any]:
    """Make a link: mailed to `recipient`, or without one to be copied. Its address is told where nobody was mailed."""
    issued = await RfiLink.send(
        acting.customer, by=acting.user, at=_at(acting.request), recipient=acting.text('recipient')
    )
    return {'is_mailed': issued.is_mailed, 'address': '' if issued.is_mailed else issued.address}


@acts(router, 'POST', '/customers/{customer_id}/rfi/revoke', right='rfi.send')
async def revoke_all(acting: Acting) -> dict[str, Any]:
    return {'revoked': await RfiLink.revoke_all_of(acting.customer, by=acting.user)}


@acts(router, 'POST', '/customers/{customer_id}/rfi/links/{link_id}/revoke', right='rfi.send')
async def revoke(acting: Acting) -> dict[str, Any]:
    link = await RfiLink.get_or_none(id=acting.number('link_id'), customer_id=acting.customer.id)
    if link is None:
        raise NotThere
    await link.revoke(by=acting.user)
    return {'revoked': 1}


@acts(router, 'POST', '/rfi/{what}', right='rfi.send')
async def several(acting: Acting) -> dict[str, Any]:
    """`send` again, or `revoke`, for several customers at once, each to whom it was sent before.

    `done` are the ids for which it was done, `why` says by id what is in the way of the others. Customers that this
    person cannot see are as if they were not there.
    """
    what = acting.path['what']
    if what not in ('send', 'revoke'):
        raise NotThere
    ids = acting.numbers('customers', MOST)
    if what == 'send' and not (await Partner.get(id=acting.user.partner_id)).smtp_host:
        raise Impossible('No mail can be sent, because no mail server is set up. Copy the links one by one.')
    done: list[int] = []
    why: dict[str, str] = {}
    for customer in await Customer.visible_to(acting.user).filter(id__in=ids).order_by('name_key'):
        try:
            if what == 'revoke':
                await RfiLink.revoke_all_of(customer, by=acting.user)
            else:
                form = await Rfi.get_or_none(customer_id=customer.id)
                if form is None or not form.sent_to:
                    raise Impossible('It was sent to nobody yet.')
                await RfiLink.send(customer, by=acting.user, at=_at(acting.request), recipient=form.sent_to)
            done.append(customer.id)
        except (Impossible, Invalid) as error:
            why[str(customer.id)] = f'{customer.name}: {error}'
    return {'done': done, 'why': why}
