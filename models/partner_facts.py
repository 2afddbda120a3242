"""What an MSP may set, and what each of it may be (docs: the settings page)."""

import re
from decimal import Decimal
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import idna

from models import checking
from models.catalogue import money
from models.checking import Invalid
from models.connect_step import TEMPLATES
from models.currency import CURRENCIES
from models.partner import CompletionRule, MailSecurity, TwoFactorRule

LINK = 'link '  # `link step/journaling` is the address for that article
LONGEST_ADDRESS = 300
_LINES, _LONGEST_LINE = 8, 120
MOST_DAYS, MOST_REMINDERS = 365, 10
HIGHEST_LIMIT = Decimal(999_999_999_999)  # in any currency a mistake, and no limit any more
_HOST = re.compile(r'(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*')

# Each status, step, RFI state and monitor that help can lead to, by the path of our own article.
ARTICLES: dict[str, dict[str, str]] = {
    'Statuses': {
        'status/rfi_requested': 'RFI requested', 'status/rfi_received': 'RFI received', 'status/blocked': 'Blocked',
        'status/on_hold': 'On hold', 'status/complete': 'Complete', 'status/closed': 'Closed',
    },
    'Steps of Connect': {f'step/{step.key}': step.title for step in TEMPLATES},
    'RFI': {
        'rfi/incomplete': 'RFI incomplete', 'rfi/complete': 'RFI complete', 'rfi/error': 'RFI error',
        'rfi/not_applicable': 'RFI not applicable',
    },
    'Monitors': {
        'monitor/inbound_queue': 'Inbound email queue', 'monitor/outbound_queue': 'Outbound email queue',
        'monitor/journal_queue': 'Journaling queue', 'monitor/journal_connector': 'Journaling connector',
        'monitor/directory_connector': 'Active Directory connector',
    },
}  # fmt: skip
ALL_ARTICLES = {key: title for group in ARTICLES.values() for key, title in group.items()}


@cache
def time_zones() -> list[str]:
    """The places by whose time somebody lives, and UTC; without the old and the technical names."""
    areas = (
        'Africa',
        'America',
        'Antarctica',
        'Arctic',
        'Asia',
        'Atlantic',
        'Australia',
        'Europe',
        'Indian',
        'Pacific',
    )
    return ['UTC', *sorted(name for name in available_timezones() if name.partition('/')[0] in areas and '/' in name)]


def check(field: str, value: Any, currency: str = '') -> Any:
    """The fact as it would be stored, an amount as a text in the MSP's `currency`; raises `Invalid`."""
    if field == 'sales_limit':
        return money(field, value, currency, HIGHEST_LIMIT)
    if field.startswith(LINK):
        if field.removeprefix(LINK) not in ALL_ARTICLES:
            raise Invalid(field[:60], 'leads to nothing that there is an article for')
        return address(field, value)
    if (checked := _CHECKS.get(field)) is None:
        raise Invalid(field[:40], 'is not a setting of the MSP')
    return checked(field, value)


def address(field: str, value: Any) -> str:
    """An address on the web; nothing is the empty text."""
    text = checking.line(field, value, LONGEST_ADDRESS)
    if not text:
        return ''
    try:
        found = urlsplit(text)
        host = found.hostname
        found.port  # noqa: B018 # it raises where it is no number
    except ValueError:
        host, found = None, urlsplit('')
    if found.scheme not in ('http', 'https') or not host or ' ' in text:
        raise Invalid(field, f'{checking.quoted(text)} is not an address such as https://help.example.com')
    if found.username is not None or found.password is not None:
        raise Invalid(field, 'has a user or a password in it')
    return text


def _name(field: str, value: Any) -> str:
    if not (text := checking.line(field, value, 120)):
        raise Invalid(field, 'is empty')
    return text


def _lines(field: str, value: Any) -> str:
    """A postal address: a few lines, without what surrounds them."""
    lines = [checking.line(field, line, _LONGEST_LINE) for line in ('' if value is None else str(value)).splitlines()]
    text = '\n'.join(lines).strip()
    if text.count('\n') >= _LINES:
        raise Invalid(field, f'cannot have more than {_LINES} lines')
    return text


def _currency(field: str, value: Any) -> str:
    code = checking.line(field, value, 40).upper()
    if code not in CURRENCIES:
        raise Invalid(field, f'{checking.quoted(code)} is not a currency of ISO 4217, such as EUR')
    return code


def _zone(field: str, value: Any) -> str:
    name = checking.line(field, value, 64)
    if name not in available_timezones():
        raise Invalid(field, f'{checking.quoted(name)} is not a time zone, such as Europe/London')
    return name


def _yes_or_no(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(field, 'must be yes or no')
    return value


def _host(field: str, value: Any) -> str:
    """The name or the address of a machine, also of one that only this network knows."""
    text = checking.line(field, value, 253).lower().rstrip('.')
    if not text:
        return ''
    if re.fullmatch(r'[^:]+:[0-9]+', text):
        raise Invalid(field, f'{checking.quoted(text)} has a port, which has a field of its own')
    if ':' in text or text.replace('.', '').isdigit():
        try:
            return str(ip_address(text.strip('[]')))
        except ValueError:
            raise Invalid(field, f'{checking.quoted(text)} is not an IP address') from None
    if not text.isascii():
        text = idna.encode(checking.domain(field, text), uts46=True).decode()
    if not _HOST.fullmatch(text):
        raise Invalid(field, f'{checking.quoted(text)} is not the name of a mail server, such as smtp.example.com')
    return text


def _port(field: str, value: Any) -> int:
    text = checking.line(field, value, 20)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise Invalid(field, 'must be a number from 1 to 65535')
    return int(text)


def _password(field: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 250 or not value.isprintable():
        raise Invalid(field, 'is longer than 250 characters, or has some that nobody can type')
    return value


def _mx_hosts(field: str, value: Any) -> list[str]:
    """Names of mail servers or what they end in, which people write with a star as well."""
    return checking.several(field, value, lambda name, one: checking.domain(name, re.sub(r'^\*?\.', '', str(one))))


def _spf(field: str, value: Any) -> str:
    """A name that SPF records include; they often begin with an underscore."""
    text = checking.line(field, value, 253).lower().removeprefix('include:').rstrip('.')
    if text and ('.' not in text or not _HOST.fullmatch(text)):
        raise Invalid(field, f'{checking.quoted(text)} is not a name such as _spf.example.com')
    return text


def _days(field: str, value: Any) -> int:
    text = checking.line(field, value, 20)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= MOST_DAYS):
        raise Invalid(field, f'must be a number of days from 1 to {MOST_DAYS}')
    return int(text)


def _some_days(field: str, value: Any) -> list[int]:
    """Numbers of days, the smallest first, each once; none is allowed."""
    days = checking.several(field, value, lambda name, one: str(_days(name, one)) if str(one).strip() else '')
    if len(days) > MOST_REMINDERS:
        raise Invalid(field, f'cannot have more than {MOST_REMINDERS} entries')
    return sorted(int(day) for day in days)


def _agreement(field: str, value: Any) -> str:
    if not (text := checking.line(field, value, 200)):
        raise Invalid(field, 'is empty; orders are governed by it')
    return text


def _withdraw_days(field: str, value: Any) -> int:
    text = checking.line(field, value, 20)
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= 90):
        raise Invalid(field, 'must be a number from 0 to 90')
    return int(text)


_CHECKS: dict[str, Any] = {
    'order_desk': checking.email, 'agreement': _agreement, 'withdraw_days': _withdraw_days,
    'upgrades_when_complete': _yes_or_no,
    'name': _name, 'address': _lines, 'currency': _currency, 'time_zone': _zone,
    'lists_unsent_rfi': _yes_or_no,
    'outbound_ips': checking.networks, 'inbound_ips': checking.networks,
    'smart_hosts': lambda field, value: checking.several(field, value, checking.machine),
    'rfi_link_days': _days, 'rfi_reminder_days': _some_days,
    'completion': lambda field, value: checking.one_of(field, value, CompletionRule),
    'mx_hosts': _mx_hosts, 'spf_include': _spf,
    'two_factor': lambda field, value: checking.one_of(field, value, TwoFactorRule),
    'help_base': address,
    'smtp_host': _host, 'smtp_port': _port,
    'smtp_security': lambda field, value: checking.one_of(field, value, MailSecurity),
    'smtp_user': lambda field, value: checking.line(field, value, 254),
    'smtp_password': _password, 'mail_from': checking.email,
}  # fmt: skip
