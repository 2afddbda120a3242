from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import Partner
from models.calendar import add_months, at, day_of, days_between, today
from models.partner_facts import time_zones

days = st.dates(date(1970, 1, 1), date(2200, 12, 31))
months = st.integers(-240, 240)
zones = st.sampled_from(time_zones())


def _in(zone: str) -> Partner:
    return Partner(name='Northwind IT', slug='northwind', time_zone=zone)


@pytest.mark.parametrize(
    ('day', 'count', 'later'),
    [
        ('2027-01-31', 1, '2027-02-28'), ('2028-01-31', 1, '2028-02-29'), ('2028-02-29', 12, '2029-02-28'),
        ('2027-12-31', 2, '2028-02-29'), ('2027-03-31', -1, '2027-02-28'), ('2027-01-15', -1, '2026-12-15'),
        ('2027-05-31', 11, '2028-04-30'), ('2027-05-31', 0, '2027-05-31'),
    ],
)  # fmt: skip
def test_a_month_later_is_the_same_day_or_the_last_of_a_shorter_month(day, count, later):
    assert add_months(date.fromisoformat(day), count) == date.fromisoformat(later)


@given(day=days, count=months)
def test_so_many_months_later_is_in_that_month_and_as_near_to_the_day_as_it_can_be(day, count):
    later = add_months(day, count)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == count
    assert later.day == min(day.day, monthrange(later.year, later.month)[1])


@given(day=days, count=months)
def test_going_back_again_ends_on_the_day_unless_a_month_was_too_short(day, count):
    assert abs(add_months(add_months(day, count), -count) - day) <= timedelta(days=3)


@given(day=days, hour=st.integers(0, 23), zone=zones)
def test_an_hour_is_that_hour_on_the_clocks_of_the_msp_unless_they_leave_it_out(day, hour, zone):
    moment = at(_in(zone), day, hour)
    shown = moment.astimezone(ZoneInfo(zone))
    assert moment.tzinfo is UTC
    if (shown.date(), shown.hour, shown.minute) != (day, hour, 0):
        before = (moment - timedelta(days=1)).astimezone(ZoneInfo(zone)).utcoffset()
        assert shown.utcoffset() != before, 'clocks were set on that day'


@given(day=days, zone=zones)
def test_the_end_of_work_is_on_the_day_itself(day, zone):
    partner = _in(zone)
    left_out = ('Apia', 'Fakaofo', 'Enderbury', 'Kanton', 'Kiritimati', 'Kwajalein')  # islands that skipped a day once
    assert day_of(partner, at(partner, day)) == day or zone.removeprefix('Pacific/') in left_out


@pytest.mark.parametrize(
    ('zone', 'day', 'hour', 'moment'),
    [
        ('Europe/London', '2027-03-27', 17, '2027-03-27T17:00'),
        ('Europe/London', '2027-03-28', 17, '2027-03-28T16:00'),
        ('Europe/London', '2027-03-28', 1, '2027-03-28T01:00'),  # there is no such hour
        ('Europe/London', '2027-10-31', 1, '2027-10-31T00:00'),  # there are two
        ('America/New_York', '2027-11-07', 17, '2027-11-07T22:00'),
        ('Asia/Kolkata', '2027-01-01', 0, '2026-12-31T18:30'),
        ('nowhere', '2027-01-01', 9, '2027-01-01T09:00'),
    ],
)  # fmt: skip
def test_the_day_on_which_clocks_are_set(zone, day, hour, moment):
    assert at(_in(zone), date.fromisoformat(day), hour) == datetime.fromisoformat(f'{moment}:00+00:00')


def test_today_is_where_the_msp_is():
    evening = datetime(2027, 1, 31, 23, 30, tzinfo=UTC)
    assert today(_in('UTC'), now=evening) == date(2027, 1, 31)
    assert today(_in('Asia/Tokyo'), now=evening) == date(2027, 2, 1)
    assert today(_in('America/New_York'), now=evening) == date(2027, 1, 31)


def test_part_of_a_day_counts_as_one():
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    assert days_between(noon, noon) == days_between(noon, noon - timedelta(hours=1)) == 0
    assert days_between(noon, noon + timedelta(minutes=1)) == days_between(noon, noon + timedelta(days=1)) == 1
    assert days_between(noon, noon + timedelta(days=1, seconds=1)) == 2
