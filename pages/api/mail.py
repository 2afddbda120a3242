"""What the page of the MSP's mail asks for and sends."""

from typing import Any

from fastapi import APIRouter

from models import Message
from pages.acting import Acting, Asking, acts, reads
from pages.answers import NotThere
from pages.mail import RIGHT, details_of, standing_of

router = APIRouter(prefix='/api/ui/mail', include_in_schema=False)


@reads(router, '', right=RIGHT)
async def standing(asking: Asking) -> dict[str, Any]:
    """How mail is going."""
    return await standing_of(asking.user)


@reads(router, '/{message_id}', right=RIGHT)
async def message(asking: Asking) -> dict[str, Any]:
    """Everything about one message but what it says."""
    return await details_of(await _of(asking), asking.user)


@acts(router, 'POST', '/retry', right=RIGHT)
async def retry_all(acting: Acting) -> dict[str, Any]:
    """Try everything that waits after a failed try at once."""
    return {'tried': await Message.retry_seen(acting.user)}


@acts(router, 'POST', '/{message_id}/retry', right=RIGHT)
async def retry(acting: Acting) -> dict[str, Any]:
    await (await _of(acting)).retry(acting.user)
    return {}


async def _of(asking: Asking) -> Message:
    """The message of the address, through the one door."""
    found = await Message.visible_to(asking.user).get_or_none(id=asking.number('message_id'))
    if found is None:
        raise NotThere
    return found
