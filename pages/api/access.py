"""Roles in Administration Consoles and the consoles themselves, as the pages ask for them and change them."""

from typing import Any

from fastapi import APIRouter
from tortoise.queryset import QuerySet

from models import AdminConsole, ConsoleRole, Customer, DelegatedAccess, PortalUser, SignOnKind
from models.access import MOST, Outcome, is_partner
from models.checking import Invalid
from models.database import rows
from models.rights import may
from models.text import fold
from pages.acting import SIGNED_IN, Acting, Asking, acts, reads, whole

router = APIRouter(prefix='/api/ui', include_in_schema=False)

PAGE = 100  # customers of a person at once
MOST_PEOPLE = 2000
SHOWN = ('', 'held', 'free')


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


@reads(router, '/customers/{customer_id}/access', right='access.grant')
async def access_of(asking: Asking) -> dict[str, Any]:
    """Who holds what in this customer's console, whom it can be granted to and how, and which console it is."""
    user, customer = asking.user, asking.customer
    role = (await DelegatedAccess.roles_of(user, [customer.id])).get(customer.id, 'None')
    granters = (await DelegatedAccess.granters(user.partner_id, [customer.id])).get(customer.id, [])
    return {
        'holders': await DelegatedAccess.holders(customer), 'people': await people_of(user.partner_id),
        'mine': role, 'may': is_partner(role), 'granters': granters,
        'generic': may(user, 'access.grant_generic') and not granters,
        'console': customer.console_id, 'console_url': customer.console_url,
        'consoles': [
            {'id': each['id'], 'name': each['name']} for each in await AdminConsole.list_of(user.partner_id)
        ] if may(user, 'customer.change') else None,
    }  # fmt: skip


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


@reads(router, '/access', right='access.grant')
async def access_begin(asking: Asking) -> dict[str, Any]:
    """Whom there is to choose from, and whether this administrator should begin by taking the role."""
    user = asking.user
    return {'people': await people_of(user.partner_id), 'begin': await DelegatedAccess.may_begin(user)}


@reads(router, '/access/begin', right=SIGNED_IN)
async def access_offer(asking: Asking) -> dict[str, Any]:
    """Whether this person holds nothing anywhere and may take the role by the generic account."""
    return {'begin': await DelegatedAccess.may_begin(asking.user)}


def _narrowed(asking: Asking, person: PortalUser) -> 'QuerySet[Customer]':
    """The customers that were asked for: by search, and by whether the person holds Partner Administrator there."""
    found = Customer.visible_to(asking.user)
    if search := asking.search('q'):
        found = found.filter(search_key__contains=fold(search))
    shown = asking.text('show')
    if shown not in SHOWN:
        raise Invalid('show', f'must be one of {", ".join(SHOWN[1:])}')
    if shown:
        at = DelegatedAccess.customers_of(person)
        found = found.filter(id__in=at) if shown == 'held' else found.filter(id__not_in=at)
    return found.order_by('name_key', 'id')


@reads(router, '/access/{person_id}/customers', right='access.grant')
async def customers_of(asking: Asking) -> dict[str, Any]:
    """Customers with this person's role in each, `start` on; `ids` instead gives up to 1,000 ids of what is found."""
    user = asking.user
    person = await PortalUser.get(id=asking.number('person_id'), partner_id=user.partner_id, can_sign_in=True)
    found = _narrowed(asking, person)
    start = whole(asking.text('start')) or 0
    if 'ids' in asking.sent:
        return {'ids': [row['id'] for row in await rows(found.limit(MOST).values('id'))]}
    page = await rows(found.offset(start).limit(PAGE).values('id', 'name', 'account_code'))
    ids = [row['id'] for row in page]
    theirs = await DelegatedAccess.roles_of(person, ids)
    mine = theirs if person.id == user.id else await DelegatedAccess.roles_of(user, ids)
    ends = await DelegatedAccess.ends(person, ids)
    granters = await DelegatedAccess.granters(user.partner_id, [i for i in ids if not is_partner(mine.get(i))])
    sees = {row['id'] for row in await rows(Customer.visible_to(person).filter(id__in=ids).values('id'))}
    return {
        'total': await found.count(), 'start': start,
        'rows': [
            row | {
                'role': theirs.get(row['id'], 'None'), 'until': ends.get(row['id']), 'sees': row['id'] in sees,
                'mine': is_partner(mine.get(row['id'])), 'granters': granters.get(row['id'], [])[:4],
            }
            for row in page
        ],
    }  # fmt: skip


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
        customers, await _whom(acting), role=ConsoleRole.PARTNER_ADMINISTRATOR, expires_at=acting.moment('expires_at'),
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


# -- consoles ---------------------------------------------------------------------------------------------------------


@reads(router, '/consoles', right='settings.change')
async def consoles(asking: Asking) -> dict[str, Any]:
    """The connections to consoles of this MSP."""
    kinds = [[kind.value, kind.title] for kind in SignOnKind]
    return {'consoles': await AdminConsole.list_of(asking.user.partner_id), 'kinds': kinds}


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
