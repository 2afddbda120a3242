"""What the settings page asks for and sends."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from models import ApiToken, Message, Partner, PortalUser
from models.checking import Invalid
from models.database import reader
from models.logo import MOST_BYTES
from models.mailing import send_test
from pages import face
from pages.acting import SIGNED_IN, Acting, Asking, acts, reads, takes
from pages.answers import NotThere, answer
from pages.dashboard import NEXT_STEPS, next_steps
from pages.guard import user_of
from pages.settings_page import state_of

router = APIRouter(prefix='/api/ui', include_in_schema=False)


@reads(router, '/settings', right='settings.change')
async def settings_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(asking.user)


@reads(router, '/partner/logo', right=SIGNED_IN)
async def logo(asking: Asking) -> Response:
    """The logo of one's own MSP; its address has another query for every picture."""
    partner = await Partner.get(id=asking.user.partner_id, using_db=reader())
    if not partner.logo:
        raise NotThere
    kept = {'Cache-Control': 'private, max-age=86400', 'Content-Disposition': 'inline; filename="logo.png"'}
    return Response(bytes(partner.logo), media_type='image/png', headers=kept)


@reads(router, '/partner', right=SIGNED_IN)
async def partner_face(asking: Asking) -> dict[str, Any]:
    """Name and logo of one's own MSP, for pages whose frame shows older ones."""
    return (await face.prepare(asking.user))._asdict()


async def own(user: PortalUser) -> Partner:
    return await Partner.get(id=user.partner_id)


@acts(router, 'POST', '/settings', right='settings.change')
async def change_settings(acting: Acting) -> dict[str, Any]:
    was = acting.facts('was') if 'was' in acting.body else None
    partner = await own(acting.user)
    changed = await partner.change(acting.user, was=was, facts=acting.facts())
    return {'changed': sorted(changed), 'now': await state_of(acting.user)}


@takes(router, 'POST', '/settings/logo', right='settings.change')
async def set_logo(request: Request) -> Response:
    """The picture itself is the body."""
    body = b''
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Invalid('logo', f'is larger than {MOST_BYTES // 1000} KB')
    user = user_of(request)
    await (await own(user)).set_logo(user, body)
    return answer({'now': await state_of(user)})


@acts(router, 'DELETE', '/settings/logo', right='settings.change')
async def remove_logo(acting: Acting) -> dict[str, Any]:
    await (await own(acting.user)).remove_logo(acting.user)
    return {'now': await state_of(acting.user)}


# -- the first steps of a new MSP --------------------------------------------------------------------------------------


@reads(router, '/next-steps', right='settings.change')
async def next_steps_now(asking: Asking) -> dict[str, Any]:
    return {'steps': await next_steps(asking.user)}


@acts(router, 'POST', '/next-steps/dismiss', right='settings.change')
async def dismiss_next_steps(acting: Acting) -> dict[str, Any]:
    """Show them no more to this person."""
    await acting.user.prefer(NEXT_STEPS, 'dismissed')
    return {}


# -- mail -------------------------------------------------------------------------------------------------------------


@acts(router, 'POST', '/settings/mail/test', right='settings.change')
async def test_mail(acting: Acting) -> dict[str, Any]:
    """Send a message to whoever asks, with what is stored; `ok`, and in `said` what came of it."""
    went_well, said = await send_test(await own(acting.user), acting.user)
    return {'ok': went_well, 'said': said}


@acts(router, 'POST', '/settings/mail/retry', right='settings.change')
async def retry_mail(acting: Acting) -> dict[str, Any]:
    """Let what waits after a failed try be tried at once."""
    count = await Message.retry_now(await own(acting.user), acting.user)
    return {'tried': count, 'now': await state_of(acting.user)}


# -- tokens -----------------------------------------------------------------------------------------------------------


@acts(router, 'POST', '/settings/tokens', right='token.manage')
async def make_token(acting: Acting) -> dict[str, Any]:
    """The only time that the token is told."""
    token = await ApiToken.issue(await own(acting.user), acting.text('name'), by=acting.user)
    return {'token': token, 'now': await state_of(acting.user)}


@acts(router, 'DELETE', '/settings/tokens/{token_id}', right='token.manage')
async def revoke_token(acting: Acting) -> dict[str, Any]:
    token = await ApiToken.get_or_none(id=acting.number('token_id'), partner_id=acting.user.partner_id)
    if token is None:
        raise NotThere
    await token.revoke(acting.user)
    return {'now': await state_of(acting.user)}
