"""Ask again for RFI forms that have not come back, on the schedule that each MSP has set."""

import logging
from datetime import UTC, datetime

from models import RfiLink

log = logging.getLogger(__name__)

AT_ONCE = 50  # reminders in one run; the rest is for the next one


async def remind_of_rfis() -> int:
    """Return how many reminders were written. When a form is due next is stored with it: a portal that was away, or a
    clock that was set, makes up for nothing, and no form is asked for twice."""
    count = await RfiLink.remind_due(datetime.now(UTC), limit=AT_ONCE)
    if count:
        log.info('%d reminders of RFI forms were written', count)
    return count
