"""What the page of a prospect asks for and sends."""

import time
from collections import OrderedDict
from typing import Any

from fastapi import APIRouter

from models import Partner, PortalUser, Prospect, checking, dns_asking
from models.checking import Impossible, Invalid
from models.dns_asking import Found
from pages.acting import Acting, Asking, acts, reads
from pages.prospects import CHANGE, SEE, state_of, told_of

router = APIRouter(prefix='/api/ui/prospects', include_in_schema=False)

REMEMBERED = 1000  # people whose last answer is kept until they save
FRESH = 15 * 60  # seconds for which it is
_asking: set[int] = set()  # for whom the name servers are being asked
_answers: OrderedDict[int, tuple[float, Found]] = OrderedDict()  # by person: when, and what


async def _of(asking: Asking) -> Prospect:
    """The prospect of the address, through the one door; raises `DoesNotExist`."""
    return await Prospect.visible_to(asking.user).get(id=asking.number('prospect_id'))


@reads(router, '/{prospect_id}', right=SEE)
async def prospect_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(await _of(asking), asking.user)


# -- what is sent -----------------------------------------------------------------------------------------------------


async def _alike(acting: Acting, domain: str, *, but: int | None = None) -> list[dict[str, Any]]:
    """Who else has the domain, unless whoever saves has been told of it (`confirmed`)."""
    if not domain or acting.text('confirmed') == domain:
        return []
    return await Prospect.alike(domain, acting.user, but=but)


@acts(router, 'POST', '', right=CHANGE)
async def add(acting: Acting) -> dict[str, Any]:
    """Make one. Where its domain is somebody's already, nothing is stored: `alike` says whose, and `domain` is what
    to send as `confirmed` to make it all the same."""
    facts = acting.facts()
    domain = Prospect.check(**{'name': '', **facts}).get('domain', '')
    if alike := await _alike(acting, domain):
        return {'alike': alike, 'domain': domain}
    partner = await Partner.get(id=acting.user.partner_id)
    made = await Prospect.add(partner, by=acting.user, found=_answer_about(acting.user, domain), **facts)
    return {'id': made.id}


# Before what has an id in its place.
@acts(router, 'POST', '/verify', right=CHANGE)
async def verify_typed(acting: Acting) -> dict[str, Any]:
    """What DNS says of a domain that was typed; it is kept until the prospect is saved."""
    return {'found': told_of(await _ask(acting.user, acting.text('domain')))}


@acts(router, 'POST', '/{prospect_id}', right=CHANGE)
async def change(acting: Acting) -> dict[str, Any]:
    """Change facts, by what was seen (`was`); of the same domain as in `add`."""
    prospect, facts = await _of(acting), acting.facts()
    domain = Prospect.check(**facts).get('domain', prospect.domain)
    if domain != prospect.domain and (alike := await _alike(acting, domain, but=prospect.id)):
        return {'alike': alike, 'domain': domain}
    was = acting.facts('was') if 'was' in acting.body else None
    changed = await prospect.change(facts, by=acting.user, was=was, found=_answer_about(acting.user, domain))
    return {'changed': sorted(changed), 'now': await state_of(prospect, acting.user)}


@acts(router, 'POST', '/{prospect_id}/state', right=CHANGE)
async def set_state(acting: Acting) -> dict[str, Any]:
    """Lose it (`because`), or open it again; `was` is the state that was seen."""
    prospect = await _of(acting)
    was = acting.text('was') or None
    try:
        await prospect.set_state(acting.text('state'), because=acting.text('because'), by=acting.user, was=was)
    except checking.ChangedMeanwhile:
        raise Impossible('Somebody else has just moved this prospect. Look at it again.') from None
    return {'now': await state_of(prospect, acting.user)}


# -- asking DNS -------------------------------------------------------------------------------------------------------


@acts(router, 'POST', '/{prospect_id}/verify', right=CHANGE)
async def verify(acting: Acting) -> dict[str, Any]:
    """The same for a prospect; what is said of the domain that it has is stored at once."""
    prospect = await _of(acting)
    found = await _ask(acting.user, acting.text('domain') or prospect.domain)
    stored = found.domain == prospect.domain and await prospect.verified(found, by=acting.user)
    if stored:
        return {'found': told_of(found, prospect.domain_checked_at), 'now': await state_of(prospect, acting.user)}
    return {'found': told_of(found)}


async def _ask(user: PortalUser, typed: str) -> Found:
    """Ask the name servers, for one person about one domain at a time. Raises `Invalid` and `Impossible`."""
    if not (domain := checking.domain('domain', typed)):
        raise Invalid('domain', 'is empty')
    if user.id in _asking:
        raise Impossible('The name servers are being asked for you already. Wait for the answer.')
    _asking.add(user.id)
    try:
        found = await dns_asking.ask(domain)
    finally:
        _asking.discard(user.id)
    _answers[user.id] = time.monotonic(), found
    _answers.move_to_end(user.id)
    while len(_answers) > REMEMBERED:
        _answers.popitem(last=False)
    return found


def _answer_about(user: PortalUser, domain: str) -> Found | None:
    """What this person has just been told about this domain: only the server's own word is stored."""
    at, found = _answers.get(user.id, (0.0, None))
    return found if found is not None and found.domain == domain and time.monotonic() < at + FRESH else None
