"""What the head of every page shows of an MSP: its name, and its logo where it has one."""

from components.frame import Face
from models import PortalUser
from pages.known import Known
from pages.settings_page import logo_of

_known = Known(lambda partner: Face(partner.name, logo_of(partner)))


async def prepare(user: PortalUser) -> Face:
    """Read the face of this person's MSP, so that `of` knows it; asked of the database only after a change."""
    await _known.prepare(user.partner_id)
    return of(user)


def of(user: PortalUser) -> Face:
    return _known.get(user.partner_id) or Face('', '')
