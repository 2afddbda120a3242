"""Days as the MSP counts them: what today is, a day so many months later, and the moment of an hour of a day."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from models.partner import Partner

# Not strftime's: what is written must not depend on the language of the machine.
_MONTHS = ('January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October',
           'November', 'December')  # fmt: skip
END_OF_WORK = 17  # the hour at which what is due on a day is due


def zone_of(partner: 'Partner') -> ZoneInfo:
    """The MSP's time zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(partner.time_zone or 'UTC')
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo('UTC')


def today(partner: 'Partner', *, now: datetime | None = None) -> date:
    """Which day it is where the MSP is."""
    return day_of(partner, now or datetime.now(UTC))


def day_of(partner: 'Partner', moment: datetime) -> date:
    """On which day of the MSP's a moment is."""
    return moment.astimezone(zone_of(partner)).date()


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or earlier; the last one of a month that is too short for it.

    31 January and one month is 28 or 29 February.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def at(partner: 'Partner', day: date, hour: int = END_OF_WORK) -> datetime:
    """When it is this hour of this day where the MSP is, in UTC.

    Of an hour that comes twice, as clocks are set back, the first one; of one that is left out, the moment when its
    clocks would have shown it.
    """
    return datetime.combine(day, time(hour), tzinfo=zone_of(partner)).astimezone(UTC)


def said(day: date | datetime | None, zone: str | tzinfo = 'UTC', *, none: str = '–') -> str:
    """23 November 2026, in this time zone, as it is written everywhere; `none` where there is no day."""
    if day is None:
        return none
    if isinstance(day, datetime):
        day = day.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)
    return f'{day.day} {_MONTHS[day.month - 1]} {day.year}'


def moment_said(value: datetime, zone: str = 'UTC') -> str:
    """23 November 2026 at 14:05 (UTC+01:00)."""
    local = value.astimezone(ZoneInfo(zone))
    ahead = local.strftime('%z')
    offset = 'UTC' if ahead == '+0000' else f'UTC{ahead[:3]}:{ahead[3:]}'.replace('-', '−')
    return f'{said(value, zone)} at {local:%H:%M} ({offset})'


def days_between(earlier: datetime, later: datetime) -> int:
    """Whole days from one moment to another, rounded up; none where it is not later."""
    return max(0, -(-(later - earlier) // timedelta(days=1)))
