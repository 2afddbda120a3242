"""What the page of the MSP's people asks for and sends. All of it is for administrators, about their own MSP."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request

from components import live
from models import Customer, CustomerTag, OneTimeLink, Partner, PortalUser, Session, Sight, UserState, second_factor
from models.checking import Invalid
from models.one_time_link import Issued
from models.sight import MOST
from models.tag import tags
from models.text import fold
from pages.acting import Acting, Asking, acts, reads, whole
from settings import settings

router = APIRouter(prefix='/api/ui/people', include_in_schema=False)

RIGHT = 'user.manage'
OFFERED = 12  # customers that a search for some to pick shows at once
NOBODY = 'Choose customers or a tag, or say that they see no customer for now.'


# -- what is asked ----------------------------------------------------------------------------------------------------


@reads(router, '/customers', right=RIGHT)
async def customers(asking: Asking) -> dict[str, Any]:
    """Customers to pick from: the first whose name, code or domain has `q` in it, of those that one sees oneself."""
    found = Customer.visible_to(asking.user)
    if search := fold(asking.search('q')):
        found = found.filter(search_key__contains=search)
    some = await found.order_by('name_key', 'id').limit(OFFERED + 1).values('id', 'name', 'account_code')
    return {'rows': some[:OFFERED], 'more': len(some) > OFFERED}


@reads(router, '/tags', right=RIGHT)
async def known_tags(asking: Asking) -> dict[str, Any]:
    return {'tags': await CustomerTag.known_to(asking.user)}


@reads(router, '/{user_id}', right=RIGHT)
async def person(asking: Asking) -> dict[str, Any]:
    """Everything that the panel about one person shows."""
    return await _details(asking.user, await _of(asking), asking.session)


async def _of(asking: Asking) -> PortalUser:
    """The person of the address; raises `DoesNotExist` for another MSP's."""
    return await PortalUser.get(id=asking.number('user_id'), partner_id=asking.user.partner_id)


async def _details(by: PortalUser, who: PortalUser, mine: Session) -> dict[str, Any]:
    sight, link = await Sight.of(who), await OneTimeLink.waiting_for(who)
    seen = Customer.visible_to(by).filter(id__in=sorted(sight.customers)).order_by('name_key', 'id')
    named = await seen.values('id', 'name', 'account_code') if sight.customers else []
    open_now = live.hub.session_ids()
    return {
        'id': who.id, 'name': who.name, 'email': who.email, 'role': who.role, 'role_title': who.role.title,
        'state': who.state, 'state_title': who.state.title, 'two_factor': who.totp_since is not None,
        'provider': bool(who.oidc_subject),
        'created_at': who.created_at, 'last_sign_in_at': who.last_sign_in_at, 'disabled_at': who.disabled_at,
        'sight': {
            'everything': sight.everything, 'customers': named, 'tags': sorted(sight.tags),
            'hidden': len(sight.customers) - len(named), 'words': sight.in_words(),
        },
        'link': link and {'kind': link.kind, 'expires_at': link.expires_at, 'made_at': link.created_at},
        'mail': await OneTimeLink.last_mail_to(who),
        'sessions': [
            {
                'id': each.id, 'address': each.address, 'browser': each.browser, 'since': each.created_at,
                'until': each.expires_at, 'is_open': each.id in open_now, 'is_mine': each.id == mine.id,
            }
            for each in await Session.running_of(who.id)
        ],
    }  # fmt: skip


# -- what is sent -----------------------------------------------------------------------------------------------------


def at(request: Request) -> str:
    """Where the portal is, for a link that somebody else opens."""
    return settings().public_url or str(request.base_url).rstrip('/')


def sight_of(acting: Acting) -> Sight:
    """The sight that was sent: everything, customers (ids) and tags; raises `Invalid`.

    Only some, and none of them named: that is hardly ever meant, so `none` has to say that it is.
    """
    sent = acting.body.get('sight')
    if not isinstance(sent, dict) or not isinstance(sent.get('everything'), bool):
        raise Invalid('sight', 'is not a choice of customers')
    ids = sent.get('customers', [])
    numbers = [whole(each) for each in ids] if isinstance(ids, list) and len(ids) <= MOST else [None]
    if None in numbers:
        raise Invalid('sight', f'is not a list of at most {MOST:,} customers')
    tagged = frozenset(tags('sight', sent.get('tags', [])))
    chosen = frozenset(each for each in numbers if each)
    if not (sent['everything'] or chosen or tagged or sent.get('none') is True):
        raise Invalid('sight', NOBODY)
    return Sight(sent['everything'], chosen, tagged)


def told(issued: Issued) -> dict[str, Any]:
    """Of a link that was mailed nobody else is shown the address."""
    return {'mailed': issued.is_mailed, 'link': '' if issued.is_mailed else issued.address,
            'until': issued.link.expires_at}  # fmt: skip


def _by_mail(acting: Acting) -> bool:
    return acting.body.get('by_mail') is not False


@acts(router, 'POST', '', right=RIGHT)
async def invite(acting: Acting) -> dict[str, Any]:
    partner = await Partner.get(id=acting.user.partner_id)
    user, issued = await PortalUser.invite(
        partner, name=acting.text('name'), email=acting.text('email'), role=acting.text('role'),
        sight=sight_of(acting), by=acting.user, at=at(acting.request), by_mail=_by_mail(acting),
    )  # fmt: skip
    return {'id': user.id, 'name': user.name, 'email': user.email} | told(issued)


@acts(router, 'POST', '/{user_id}/facts', right=RIGHT)
async def correct(acting: Acting) -> dict[str, Any]:
    """Another name or e-mail address, for one that was mistyped or is another one now."""
    who = await _of(acting)
    return {'changed': await who.correct(name=acting.text('name'), email=acting.text('email'), by=acting.user)}


@acts(router, 'POST', '/{user_id}/role', right=RIGHT)
async def change_role(acting: Acting) -> dict[str, Any]:
    return {'changed': await (await _of(acting)).change_role(acting.text('role'), by=acting.user)}


@acts(router, 'POST', '/{user_id}/sight', right=RIGHT)
async def change_sight(acting: Acting) -> dict[str, Any]:
    who = await _of(acting)
    return {'changed': await who.change_sight(sight_of(acting), by=acting.user)}


@acts(router, 'POST', '/{user_id}/link', right=RIGHT)
async def send_link(acting: Acting) -> dict[str, Any]:
    """A new invitation, or a link to choose another password."""
    who = await _of(acting)
    issued = await who.send_link(by=acting.user, at=at(acting.request), by_mail=_by_mail(acting))
    return {'name': who.name, 'email': who.email, 'kind': issued.link.kind} | told(issued)


@acts(router, 'POST', '/{user_id}/link/revoke', right=RIGHT)
async def revoke_link(acting: Acting) -> dict[str, Any]:
    await (await _of(acting)).revoke_links(by=acting.user)
    return {}


@acts(router, 'POST', '/{user_id}/disable', right=RIGHT)
async def disable(acting: Acting) -> dict[str, Any]:
    await (await _of(acting)).disable(datetime.now(UTC), by=acting.user)
    return {}


@acts(router, 'POST', '/{user_id}/enable', right=RIGHT)
async def enable(acting: Acting) -> dict[str, Any]:
    who = await _of(acting)
    await who.enable(by=acting.user)
    return {'invite': who.state == UserState.INVITED}


@acts(router, 'POST', '/{user_id}/two-factor/reset', right=RIGHT)
async def reset_two_factor(acting: Acting) -> dict[str, Any]:
    """For whoever has lost the second factor and the recovery codes."""
    await second_factor.reset(await _of(acting), acting.user)
    return {}


@acts(router, 'POST', '/{user_id}/single-sign-on/unlink', right=RIGHT)
async def unlink_provider(acting: Acting) -> dict[str, Any]:
    """For whoever has another account at the provider now."""
    await (await _of(acting)).unlink_provider(by=acting.user)
    return {}


@acts(router, 'POST', '/{user_id}/sessions/end', right=RIGHT)
async def end_sessions(acting: Acting) -> dict[str, Any]:
    """One session (`session`, its number), or all where it is null; `ended` says how many had not ended before."""
    who = await _of(acting)
    one = acting.body.get('session')
    session_id = None if one is None else acting.number('session')
    return {'ended': await who.end_sessions(by=acting.user, session_id=session_id)}
