"""E-mail about their own steps of Connect to those who want it: a digest every morning, and what has become overdue."""

import logging
from datetime import UTC, datetime

from models import step_mail
from settings import settings

log = logging.getLogger(__name__)


async def write_step_mail(now: datetime | None = None) -> int:
    """Return how many messages were written. None while nobody knows where the portal is, for each has a link."""
    at = settings().public_url
    if not at:
        return 0
    now = now or datetime.now(UTC)
    digests = await step_mail.write_digests(now, at=at)
    reminders = await step_mail.write_reminders(now, at=at)
    if digests or reminders:
        log.info('%d digests and %d reminders about steps were written', digests, reminders)
    return digests + reminders
