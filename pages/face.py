"""What the head of every page shows of an MSP: its name, and its logo where it has one."""

from components.frame import Face
from models import Partner, PortalUser, events
from models.database import reader
from pages.settings_page import logo_of

# Of MSPs whose people have opened a page; what is read again before the next one.
_known: dict[int, Face] = {}
_changed: set[int] = set()


async def prepare(user: PortalUser) -> Face:
    """Read the face of this person's MSP, so that `of` knows it; asked of the database only after a change."""
    if user.partner_id not in _known or user.partner_id in _changed:
        _changed.discard(user.partner_id)
        found = await Partner.filter(id=user.partner_id).using_db(reader()).first()
        if found is not None:
            _known[user.partner_id] = Face(found.name, logo_of(found))
    return of(user)


def of(user: PortalUser) -> Face:
    return _known.get(user.partner_id, Face('', ''))


events.PARTNER_CHANGED.subscribe(_changed.add)
# Another process may have changed anything.
events.MANY_CHANGED.subscribe(lambda partner_id: _changed.update(_known if partner_id is None else [partner_id]))
