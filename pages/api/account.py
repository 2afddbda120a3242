"""What the page of one’s own account asks for and changes; guessing is no easier here than at sign-in."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import APIRouter

from components import qr
from models import Partner, PortalUser, Session, TwoFactorRule, own_account, second_factor
from models.checking import Impossible, Invalid
from pages.acting import SIGNED_IN, Acting, Asking, acts, reads
from pages.sign_in import in_fours, throttle, too_many
from settings import settings

router = APIRouter(prefix='/api/ui/account', include_in_schema=False)
RIGHT = 'account.change'
T = TypeVar('T')


@reads(router, '', right=SIGNED_IN)
async def own(asking: Asking) -> dict[str, Any]:
    return await facts_of(asking.user, asking.session)


async def facts_of(user: PortalUser, session: Session | None) -> dict[str, Any]:
    """What the page shows; `sessions` are left out where nobody says which of them is this one."""
    user = await PortalUser.get(id=user.id)
    partner = await Partner.get(id=user.partner_id)
    found: dict[str, Any] = {
        'name': user.name, 'email': user.email, 'role': user.role.title, 'partner': partner.name,
        'has_password': bool(user.password_hash), 'provider': settings().oidc_name if user.oidc_subject else '',
        'time_zone': user.time_zone,
        'mail': {'digest': user.wants_digest, 'reminders': user.wants_reminders, 'works': bool(partner.smtp_host)},
        'two_factor': {
            'on': second_factor.is_on(user), 'since': user.totp_since,
            'codes_left': await second_factor.codes_left(user), 'rule': partner.two_factor,
            'must': partner.two_factor == TwoFactorRule.EVERYONE,
        },
    }  # fmt: skip
    if session is not None:
        found['sessions'] = [
            {
                'id': each.id, 'browser': each.browser, 'address': each.address, 'since': each.created_at,
                'mine': each.id == session.id,
            }
            for each in await Session.running_of(user.id)
        ]  # fmt: skip
    return found


async def _guess(acting: Acting, attempt: Callable[[], Awaitable[T]], *fields: str) -> T:
    """Let somebody prove who they are; what is wrong in these fields counts as a guess."""
    key = f'own {acting.user.id}'
    if (wait := throttle.wait(key)) > 0:
        raise Impossible(too_many(wait))
    throttle.failed(key)  # before it is looked at: a burst gets no free tries
    try:
        done = await attempt()
    except Invalid as error:
        if error.field not in fields:
            throttle.take_back(key)
        raise
    except Exception:
        throttle.take_back(key)
        raise
    throttle.succeeded(key)
    return done


@acts(router, 'POST', '/name', right=RIGHT)
async def rename(acting: Acting) -> dict[str, Any]:
    await own_account.rename(acting.user, acting.text('name'))
    return {'name': acting.user.name}


@acts(router, 'POST', '/time-zone', right=RIGHT)
async def choose_time_zone(acting: Acting) -> dict[str, Any]:
    await own_account.choose_time_zone(acting.user, acting.text('time_zone'))
    return {'time_zone': acting.user.time_zone}


@acts(router, 'POST', '/connect-mail', right=RIGHT)
async def choose_mail(acting: Acting) -> dict[str, Any]:
    wanted = {name: acting.body.get(name) for name in ('digest', 'reminders')}
    for name, value in wanted.items():
        if not isinstance(value, bool):
            raise Invalid(name, 'must be yes or no')
    digest, reminders = bool(wanted['digest']), bool(wanted['reminders'])
    await own_account.choose_mail(acting.user, digest=digest, reminders=reminders)
    return {'digest': digest, 'reminders': reminders}


@acts(router, 'POST', '/password', right=RIGHT)
async def change_password(acting: Acting) -> dict[str, Any]:
    old, new = acting.text('old'), acting.text('new')
    keep = acting.session.id
    await _guess(acting, lambda: own_account.change_password(acting.user, old, new, keep_session=keep), 'old')
    return {}


@acts(router, 'POST', '/two-factor/begin', right=RIGHT)
async def begin_two_factor(acting: Acting) -> dict[str, Any]:
    """For the password: what is wrong with it counts as a guess."""
    password, session = acting.text('password'), acting.session
    key = await _guess(acting, lambda: own_account.begin_two_factor(acting.user, session, password), 'password')
    return {'key': in_fours(key), 'qr': qr.svg(second_factor.address(acting.user, key))}


@acts(router, 'POST', '/two-factor/confirm', right=RIGHT)
async def confirm_two_factor(acting: Acting) -> dict[str, Any]:
    typed, keep = acting.text('code'), acting.session.id
    codes = await _guess(acting, lambda: second_factor.confirm(acting.user, typed, keep_session=keep), 'code')
    return {'codes': codes}


@acts(router, 'POST', '/two-factor/codes', right=RIGHT)
async def renew_codes(acting: Acting) -> dict[str, Any]:
    typed = acting.text('code')
    return {'codes': await _guess(acting, lambda: second_factor.renew_codes(acting.user, typed), 'code')}


@acts(router, 'POST', '/two-factor/off', right=RIGHT)
async def turn_off_two_factor(acting: Acting) -> dict[str, Any]:
    password, typed, keep = acting.text('password'), acting.text('code'), acting.session.id
    await _guess(
        acting, lambda: second_factor.turn_off(acting.user, password=password, code=typed, keep_session=keep),
        'password', 'code',
    )  # fmt: skip
    return {}


@acts(router, 'POST', '/sessions/others/end', right=RIGHT)
async def end_other_sessions(acting: Acting) -> dict[str, Any]:
    return {'ended': await own_account.end_other_sessions(acting.user, acting.session.id)}


@acts(router, 'POST', '/sessions/{session_id}/end', right=RIGHT)
async def end_session(acting: Acting) -> dict[str, Any]:
    """End one of the own; `ended` is false where it had ended before."""
    return {'ended': await own_account.end_session(acting.user, acting.number('session_id'))}
