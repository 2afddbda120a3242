"""What a fact may be: addresses, numbers and names from people, made into what is stored, or refused with a sentence.

A refusal that begins with a verb is said after the name of the field: 'is empty' becomes 'Name is empty.' One that
begins otherwise is a sentence of its own: '“x” is not a domain'. Names of fields are one thing or several ('Domains'),
so what may be said of several has a verb that fits both: 'cannot have more than 50 entries'.
"""

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import date
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import idna
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberFormat, ValidationResult

from models import calendar
from models.text import printable

MOST = 50  # entries of a list
MOST_WRONG = 5  # of them that a refusal names


class Invalid(ValueError):
    """A fact that cannot be; `field` names it. `others` are what else is wrong in the same form."""

    def __init__(self, field: str, message: str, others: 'Iterable[Invalid]' = ()) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.others = tuple(others)

    @property
    def errors(self) -> dict[str, str]:
        """Every field that is wrong and what is, this one first."""
        return {self.field: self.message} | {
            each.field: each.message for each in self.others if each.field != self.field
        }


class Problems:
    """Gathers what is wrong in a form, so that somebody who fills it in is told all of it at once.

    problems = Problems()
    for field, value in facts.items():
        with problems.noted():
            clean[field] = check(field, value)
    problems.refuse()
    """

    def __init__(self) -> None:
        self.found: list[Invalid] = []

    @contextmanager
    def noted(self) -> Generator[None, None, None]:
        """An `Invalid` inside is kept for `refuse`; what comes after it inside does not happen."""
        try:
            yield
        except Invalid as error:
            self.found += [error, *error.others]

    def refuse(self) -> None:
        """Raise the first with all others, if there is any."""
        if self.found:
            first, *others = self.found
            raise Invalid(first.field, first.message, others) from None


def each(facts: Mapping[str, Any], check: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Each fact as `check` makes it; raises one `Invalid` with everything that is wrong."""
    problems, clean = Problems(), {}
    for field, value in facts.items():
        with problems.noted():
            clean[field] = check(field, value)
    problems.refuse()
    return clean


class ChangedMeanwhile(ValueError):
    """Somebody else has changed the field since the editor saw it; `now` is what it is now."""

    def __init__(self, field: str, now: Any) -> None:
        super().__init__('has been changed by somebody else meanwhile')
        self.field = field
        self.now = now


class Impossible(ValueError):
    """What is asked cannot be done now, or not at all; the sentence says why and is shown as it stands."""


# -- one line ---------------------------------------------------------------------------------------------------------


def quoted(value: object, most: int = 60) -> str:
    """The value as a sentence quotes it."""
    text = printable(str(value))
    return f'“{text[: most - 1]}…”' if len(text) > most else f'“{text}”'


def line(field: str, value: object, most: int) -> str:
    """One line of text; nothing is the empty text."""
    text = printable('' if value is None else str(value))
    if len(text) > most:
        raise Invalid(field, f'is longer than {most} characters')
    return text


def email(field: str, value: object) -> str:
    """An e-mail address as it is written; nothing is the empty text. Whether there is such a mailbox, nobody asks."""
    text = line(field, value, 254)
    if not text:
        return ''
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Invalid(field, f'{quoted(text)} is not an e-mail address: {_first_lower(str(error))}') from None


def phone(field: str, value: object, *, region: str | None = None) -> str:
    """A phone number in E.164; nothing is the empty text.

    A number without + needs the region (GB, say) in which it is dialled. The length must be one of that country's; not
    more is asked, because numbering plans grow faster than the list of them.
    """
    text = line(field, value, 40)
    if not text:
        return ''
    begins = f'{quoted(text)} must begin with + and the country code, as in +44 20 7946 0123'
    if region is None and not re.match(r'[+＋]|00(?!0)', text.lstrip(' (')):
        raise Invalid(field, begins)
    if text.startswith('00') and region is None:
        text = f'+{text[2:]}'
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        no_country = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        raise Invalid(field, begins if no_country else f'{quoted(text)} is not a phone number') from None
    if number.extension:
        raise Invalid(field, f'{quoted(text)} has an extension; only the number can be kept')
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != ValidationResult.IS_POSSIBLE:
        said = {
            ValidationResult.TOO_SHORT: 'is too short for a phone number of that country',
            ValidationResult.IS_POSSIBLE_LOCAL_ONLY: 'lacks the area code',
            ValidationResult.TOO_LONG: 'is too long for a phone number of that country',
        }.get(possible, 'is not a phone number')
        raise Invalid(field, f'{quoted(text)} {said}')
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def phone_shown(stored: str) -> str:
    """A stored number with the spaces that its country writes it with."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(stored), PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return stored


# Nearly all are plain; the tables of IDNA are for the others.
_PLAIN_DOMAIN = re.compile(
    r'(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!..--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?'
)


def domain(field: str, value: object) -> str:
    """A domain name in lower case as people read it (bücher.example, not xn--…); nothing is the empty text."""
    text = line(field, value, 1000).lower().rstrip('.。')
    if not text:
        return ''
    if len(text) <= 253 and _PLAIN_DOMAIN.fullmatch(text):
        return text
    refused = Invalid(field, f'{quoted(text)} is not a domain')
    try:
        ascii_name = idna.encode(text, uts46=True).decode()
        shown = idna.decode(ascii_name)
    except (idna.IDNAError, UnicodeError):
        raise refused from None
    if len(ascii_name) > 253 or len(shown) > 253 or '.' not in ascii_name or ascii_name.rpartition('.')[2].isdigit():
        raise refused
    return shown


def network(field: str, value: object, *, documentation: bool = False) -> str:
    """An IP address, or several of them as a CIDR, that the internet can reach; nothing is the empty text.

    `documentation` lets the addresses of RFC 5737 and RFC 3849 pass: a simulated customer has no others, because any
    other address is somebody's.
    """
    text = line(field, value, 100)
    if not text:
        return ''
    try:
        if '%' in text:  # an interface of one machine
            raise ValueError
        found = ip_network(text)
    except ValueError as error:
        if 'has host bits set' in str(error):
            right = ip_network(text, strict=False)
            raise Invalid(field, f'{quoted(text)} is not the beginning of a network; {right} is') from None
        raise Invalid(field, f'{quoted(text)} is not an IP address') from None
    least = 8 if found.version == 4 else 16
    if found.prefixlen < least:
        raise Invalid(field, f'{quoted(text)} is too large a network (/{least} at most)')
    if not (documentation and _within(found, _DOCUMENTATION)):
        for kind, networks in _NOT_PUBLIC.items():
            if _touches(found, networks):
                raise Invalid(field, f'{quoted(text)} is not a public address ({kind})')
        if not (found[0].is_global and found[-1].is_global) or (found.version == 6 and not _within(found, _IPV6)):
            raise Invalid(field, f'{quoted(text)} is not a public address')
    return str(found[0]) if found.num_addresses == 1 else str(found)


_Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ip_network(text) for text in texts)


_IPV6 = _networks('2000::/3')  # what is given out; the rest is for other uses or for later
_DOCUMENTATION = _networks('192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32')
# Named, because people mistype these. A network that has some of them in it is no better.
_NOT_PUBLIC = {
    'private': _networks('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'),
    'of this machine': _networks('127.0.0.0/8', '::1/128'),
    'link-local': _networks('169.254.0.0/16', 'fe80::/10'),
    'shared by a provider': _networks('100.64.0.0/10'),
    'unspecified': _networks('0.0.0.0/8', '::/128'),
    'multicast': _networks('224.0.0.0/4', 'ff00::/8'),
    'for documentation': _DOCUMENTATION,
    'for measurements': _networks('198.18.0.0/15', '2001:2::/48'),
    'reserved': _networks('192.0.0.0/24', '240.0.0.0/4', '2002::/16'),
}  # fmt: skip


def _touches(found: _Network, networks: Iterable[_Network]) -> bool:
    return any(found.version == other.version and found.overlaps(other) for other in networks)


def _within(found: _Network, networks: Iterable[_Network]) -> bool:
    return any(
        found[0] in other and found[-1] in other for other in networks if found.version == other.version
    )  # fmt: skip


def machine(field: str, value: object) -> str:
    """The name of a machine on the internet, or a public address of one; nothing is the empty text."""
    text = line(field, value, 1000).rstrip('.')
    if re.fullmatch(r'[^:]+:[0-9]+', text):
        raise Invalid(field, f'{quoted(text)} has a port; the name alone is needed')
    if ':' in text or re.fullmatch(r'[\d./]+', text):
        found = network(field, text.strip('[]'))
        if '/' in found:
            raise Invalid(field, f'{quoted(text)} is a network; one machine is needed')
        return found
    if re.search(r'[/@]', text):
        raise Invalid(field, f'{quoted(text)} is not the name of a machine, such as mail.example.com')
    return domain(field, text)


def day(field: str, value: object) -> date | None:
    """A day as a form or a file writes it (2027-01-31); None where there is none."""
    if not (text := line(field, value, 20)):
        return None
    try:
        if not re.fullmatch(r'[0-9]{4}-[0-9]{2}-[0-9]{2}', text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(field, f'{quoted(text)} is not a day such as 2027-01-31') from None


# -- several ----------------------------------------------------------------------------------------------------------


def several(field: str, value: object, check: Callable[[str, object], str]) -> list[str]:
    """Each of a list, or of a text with commas, semicolons, spaces or lines between them; each is taken once.

    What is wrong is told of all of them: whoever pastes twenty corrects them in one go.
    """
    if value is None:
        return []
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise Invalid(field, 'must be a list')
    parts = re.split(r'[\s,;]+', value) if isinstance(value, str) else value
    # One too many is enough to know; nobody checks a million.
    found: dict[str, None] = {}
    wrong: dict[str, None] = {}
    for part in parts:
        try:
            if one := check(field, part):
                found[one] = None
        except Invalid as error:
            wrong[error.message] = None
        if len(found) + len(wrong) > MOST:
            raise Invalid(field, f'cannot have more than {MOST} entries')
    if wrong:
        more = f'; and {len(wrong) - MOST_WRONG} more' if len(wrong) > MOST_WRONG else ''
        raise Invalid(field, '; '.join(list(wrong)[:MOST_WRONG]) + more)
    return list(found)


def domains(field: str, value: object) -> list[str]:
    return several(field, value, domain)


def networks(field: str, value: object, *, documentation: bool = False) -> list[str]:
    return several(field, value, lambda name, one: network(name, one, documentation=documentation))


def one_of(field: str, value: object, kinds: type[Enum]) -> Any:
    """The member of an enumeration that has this value."""
    try:
        return kinds('' if value is None else value)
    except ValueError:
        known = ', '.join(str(kind.value) for kind in kinds if kind.value)
        raise Invalid(field, f'{quoted(value, 40)} is none of {known}') from None


# -- a change ---------------------------------------------------------------------------------------------------------


def differing(stored: Mapping[str, Any], wished: Mapping[str, Any], was: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that would change, with what is stored now.

    `was` is what the editor saw. Raises `ChangedMeanwhile` for a field that is neither that nor what is wished.
    """
    before = {field: stored[field] for field, value in wished.items() if _plain(stored[field]) != _plain(value)}
    for field, now in before.items():
        if was is not None and field in was and _plain(was[field]) != _plain(now):
            raise ChangedMeanwhile(field, now)
    return before


def _plain(value: Any) -> Any:
    """The value as a page would send it back."""
    if value is None:
        return ''
    if isinstance(value, Enum):
        return str(value.value)
    return [str(one) for one in value] if isinstance(value, list | tuple) else str(value)


def in_words(titles: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Mail platform: On-premises → Microsoft 365; Server OS: nothing → Debian 13"""
    return '; '.join(
        f'{titles[field]}: {_said(field, before[field])} → {_said(field, after[field])}' for field in before
    )


def _said(field: str, value: Any) -> str:
    if isinstance(value, str) and field.endswith(('phone', 'mobile')):
        value = phone_shown(value)
    if value is None or isinstance(value, date):
        return calendar.said(value, none='nothing')
    if isinstance(value, list | tuple):
        few = ', '.join(str(one) for one in value[:3])
        text = f'{few} and {len(value) - 3} more' if len(value) > 3 else few
    else:
        text = str(getattr(value, 'title', value)) if isinstance(value, Enum) else str(value)
    return (f'{text[:79]}…' if len(text) > 80 else text) or 'nothing'


def as_data(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as the history keeps them."""
    return {
        field: [str(one) for one in value] if isinstance(value, list | tuple) else _plain(value)
        for field, value in facts.items()
    }


def _first_lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip('.')
