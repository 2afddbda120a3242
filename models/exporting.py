"""That somebody took data out of the portal, as the audit tells it. Written before the first line leaves."""

from typing import Any

from models import rights
from models.history import HistoryEvent
from models.user import PortalUser

# The right that each kind of export needs.
KINDS = {
    'list.exported': 'list.export',
    'history.exported': 'history.export',
    'audit.exported': 'audit.see',
}


async def note_export(kind: str, what: str, *, by: PortalUser, filters: dict[str, Any], **data: Any) -> None:
    """Write down that `by` exports `what`, narrowed by `filters` (those that are not empty). Raises `Refused`."""
    rights.require(by, KINDS[kind])
    narrowed = {name: value for name, value in filters.items() if value not in ('', None)}
    said = ', '.join(f'{_LABELS.get(name, name)} {value}' for name, value in narrowed.items())
    await HistoryEvent.add(
        by.partner_id, kind, f'{what} – {said or "all of it"}'[:400], by=by, filters=narrowed or 'all', **data
    )


_LABELS = {
    'q': 'search', 'letter': 'letter', 'sort': 'sorted by', 'dir': 'direction', 'group': 'group', 'person': 'person',
    'since': 'from', 'until': 'up to',
}  # fmt: skip
