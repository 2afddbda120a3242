"""Roles in Administration Consoles and the consoles themselves, as the pages ask for them and change them."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from tortoise.queryset import QuerySet

from models import AdminConsole, ConsoleRole, Customer, DelegatedAccess, PortalUser, SignOnKind
from models.access import MOST, Outcome, is_partner
from models.checking import Invalid
from models.database import rows
from models.rights import Refused, may, require
from models.text import fold
from pages.acting import Acting, acts, find, whole
from pages.answers import NOT_FOUND, answer, refusal
from pages.guard import user_of

router = APIRouter(prefix='/api/ui', include_in_schema=False)

PAGE = 100  # customers of a person at once
MOST_PEOPLE = 2000
SHOWN = ('', 'held', 'free')


def _may(request: Request, action: str) -> PortalUser:
    """Who asks; raises `Refused`."""
    user = user_of(request)
    require(user, action)
    return user


async def people_of(partner_id: int) -> list[dict[str, Any]]:
    """Who can be granted something: everybody who signs in, or is invited to."""
    found = PortalUser.filter(partner_id=partner_id, can_sign_in=True, disabled_at__isnull=True)
    people = await found.order_by('name_key', 'name', 'id').limit(MOST_PEOPLE)
    return [
        {
            'id': each.id, 'name': each.name, 'email': each.email, 'portal_role': each.role.title,
            'opens': may(each, 'console.open'),
        }
        for each in people
    ]  # fmt: skip


# -- one customer -----------------------------------------------------------------------------------------------------


@router.get('/customers/{customer_id}/access')
async def access_of(request: Request, customer_id: str) -> Response:
    """Who holds what in this customer's console, whom it can be granted to and how, and which console it is."""
    try:
        user = _may(request, 'access.grant')
    except Refused as error:
        return refusal(error)
    customer = await find(user, customer_id)
    if customer is None:
        return answer(NOT_FOUND, 404)
    role = (await DelegatedAccess.roles_of(user, [customer.id])).get(customer.id, 'None')
    granters = (await DelegatedAccess.granters(user.partner_id, [customer.id])).get(customer.id, [])
    return answer({
        'holders': await DelegatedAccess.holders(customer), 'people': await people_of(user.partner_id),
        'mine': role, 'may': is_partner(role), 'granters': granters,
        'generic': may(user, 'access.grant_generic') and not granters,
        'console': customer.console_id, 'console_url': customer.console_url,
        'consoles': [
            {'id': each['id'], 'name': each['name']} for each in await AdminConsole.list_of(user.partner_id)
        ] if may(user, 'customer.change') else None,
    })  # fmt: skip


@acts(router, 'POST', '/customers/{customer_id}/access', right='access.grant')
async def grant_here(acting: Acting) -> dict[str, Any]:
    return await _grant(acting, [acting.customer.id])


@acts(router, 'POST', '/customers/{customer_id}/access/revoke', right='access.grant')
async def revoke_here(acting: Acting) -> dict[str, Any]:
    return await _revoke(acting, [acting.customer.id])


@acts(router, 'POST', '/customers/{customer_id}/access/console', right='customer.change')
async def choose_console(acting: Acting) -> dict[str, Any]:
    chosen = acting.body.get('console')
    if chosen is not None and whole(chosen) is None:
        raise Invalid('console', 'is none that there is')
    await AdminConsole.choose(acting.customer, whole(chosen), by=acting.user)
    return {'console': acting.customer.console_id}


# -- one person, many customers ---------------------------------------------------------------------------------------


@router.get('/access')
async def access_begin(request: Request) -> Response:
    """Whom there is to choose from, and whether this administrator should begin by taking the role."""
    try:
        user = _may(request, 'access.grant')
    except Refused as error:
        return refusal(error)
    return answer({'people': await people_of(user.partner_id), 'begin': await DelegatedAccess.may_begin(user)})


@router.get('/access/begin')
async def access_offer(request: Request) -> Response:
    """Whether this person holds nothing anywhere and may take the role by the generic account."""
    return answer({'begin': await DelegatedAccess.may_begin(user_of(request))})


def _narrowed(user: PortalUser, person: PortalUser, request: Request) -> 'QuerySet[Customer]':
    """The customers that were asked for: by search, and by whether the person holds Partner Administrator there."""
    asked = request.query_params
    found = Customer.visible_to(user)
    if search := ' '.join(asked.get('q', '').replace('\x00', '').split())[:200]:
        found = found.filter(search_key__contains=fold(search))
    shown = asked.get('show', '')
    if shown not in SHOWN:
        raise Invalid('show', f'is one of {", ".join(SHOWN[1:])}')
    if shown:
        at = DelegatedAccess.customers_of(person)
        found = found.filter(id__in=at) if shown == 'held' else found.filter(id__not_in=at)
    return found.order_by('name_key', 'id')


async def _person(user: PortalUser, typed: str) -> PortalUser | None:
    number = whole(typed)
    return await PortalUser.get_or_none(id=number, partner_id=user.partner_id, can_sign_in=True) if number else None


@router.get('/access/{person_id}/customers')
async def customers_of(request: Request, person_id: str) -> Response:
    """Customers with this person's role in each, `start` on; `ids` instead gives up to 1,000 ids of what is found."""
    try:
        user = _may(request, 'access.grant')
        person = await _person(user, person_id)
        if person is None:
            return answer(NOT_FOUND, 404)
        found = _narrowed(user, person, request)
    except (Refused, Invalid) as error:
        return refusal(error)
    start = whole(request.query_params.get('start', '0')) or 0
    if 'ids' in request.query_params:
        return answer({'ids': [row['id'] for row in await rows(found.limit(MOST).values('id'))]})
    page = await rows(found.offset(start).limit(PAGE).values('id', 'name', 'account_code'))
    ids = [row['id'] for row in page]
    theirs = await DelegatedAccess.roles_of(person, ids)
    mine = theirs if person.id == user.id else await DelegatedAccess.roles_of(user, ids)
    ends = await DelegatedAccess.ends(person, ids)
    granters = await DelegatedAccess.granters(user.partner_id, [i for i in ids if not is_partner(mine.get(i))])
    sees = {row['id'] for row in await rows(Customer.visible_to(person).filter(id__in=ids).values('id'))}
    return answer({
        'total': await found.count(), 'start': start,
        'rows': [
            row | {
                'role': theirs.get(row['id'], 'None'), 'until': ends.get(row['id']), 'sees': row['id'] in sees,
                'mine': is_partner(mine.get(row['id'])), 'granters': granters.get(row['id'], [])[:4],
            }
            for row in page
        ],
    })  # fmt: skip


@acts(router, 'POST', '/access/grant', right='access.grant')
async def grant_many(acting: Acting) -> dict[str, Any]:
    return await _grant(acting, acting.numbers('customers', MOST))


@acts(router, 'POST', '/access/revoke', right='access.grant')
async def revoke_many(acting: Acting) -> dict[str, Any]:
    return await _revoke(acting, acting.numbers('customers', MOST))


@acts(router, 'POST', '/access/begin', right='access.grant_generic')
async def begin(acting: Acting) -> dict[str, Any]:
    """Take the role oneself wherever no administrator holds it, by the generic account."""
    return _told(await DelegatedAccess.take_everywhere(by=acting.user, reason=acting.text('reason')))


async def _grant(acting: Acting, customers: list[int]) -> dict[str, Any]:
    return _told(await DelegatedAccess.grant(
        customers, await _whom(acting), role=ConsoleRole.PARTNER_ADMINISTRATOR, expires_at=_moment(acting),
        by=acting.user, as_generic=acting.body.get('generic') is True, reason=acting.text('reason'),
    ))  # fmt: skip


async def _revoke(acting: Acting, customers: list[int]) -> dict[str, Any]:
    return _told(await DelegatedAccess.revoke(
        customers, await _whom(acting), by=acting.user, as_generic=acting.body.get('generic') is True,
        reason=acting.text('reason'),
    ))  # fmt: skip


def _told(outcome: Outcome) -> dict[str, Any]:
    return {'changed': outcome.changed, 'said': outcome.sentence}


async def _whom(acting: Acting) -> PortalUser:
    """The person that was chosen; raises `DoesNotExist` for another MSP's."""
    return await PortalUser.get(id=acting.number('user'), partner_id=acting.user.partner_id)


def _moment(acting: Acting) -> datetime | None:
    """Until when it is granted: a moment with its offset, or nothing."""
    text = acting.text('expires_at')
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1970 <= found.year <= 9000:
        raise Invalid('expires_at', 'is not a moment such as 2026-11-22T00:00:00Z')
    return found.astimezone(UTC)


# -- consoles ---------------------------------------------------------------------------------------------------------


@router.get('/consoles')
async def consoles(request: Request) -> Response:
    """The connections to consoles of this MSP."""
    try:
        user = _may(request, 'settings.change')
    except Refused as error:
        return refusal(error)
    kinds = [[kind.value, kind.title] for kind in SignOnKind]
    return answer({'consoles': await AdminConsole.list_of(user.partner_id), 'kinds': kinds})


@acts(router, 'POST', '/consoles', right='settings.change')
async def add_console(acting: Acting) -> dict[str, Any]:
    return {'id': (await AdminConsole.add(acting.facts(), by=acting.user)).id}


@acts(router, 'POST', '/consoles/{console_id}', right='settings.change')
async def change_console(acting: Acting) -> dict[str, Any]:
    await (await _console(acting)).change(acting.facts(), by=acting.user)
    return {}


@acts(router, 'POST', '/consoles/{console_id}/remove', right='settings.change')
async def remove_console(acting: Acting) -> dict[str, Any]:
    await (await _console(acting)).remove(by=acting.user)
    return {}


async def _console(acting: Acting) -> AdminConsole:
    return await AdminConsole.get(id=acting.number('console_id'), partner_id=acting.user.partner_id)
