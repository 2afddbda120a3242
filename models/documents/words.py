"""How documents write amounts and names, whatever language the reader's machine speaks."""

import unicodedata
from decimal import Decimal, InvalidOperation

from models.currency import minor_units

NO_AMOUNT = '–'


def number(value: int) -> str:
    return f'{value:,}'.replace('-', '−')


def decimal(value: object) -> Decimal | None:
    """An amount as it is stored: a text of a decimal, or a number; None for what is none."""
    if value is None or value == '' or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < Decimal(10) ** 15 else None


def amount(value: object, currency: str) -> str:
    """1,234.50, with as many places as the currency has, and more where it has more; – where there is no amount."""
    found = decimal(value)
    if found is None:
        return NO_AMOUNT
    places = max(minor_units(currency), -int(found.normalize().as_tuple().exponent))
    return f'{found + 0:,.{places}f}'.replace('-', '−')


def money(value: object, currency: str) -> str:
    """EUR 1,234.50; – where there is no amount."""
    text = amount(value, currency)
    return f'{currency} {text}'.strip() if text != NO_AMOUNT else text


def difference(value: object, currency: str) -> str:
    """+54.00 or −54.00: how much more or less it is."""
    found = decimal(value)
    return f'{"+" if found is not None and found > 0 else ""}{amount(value, currency)}'


def lines_of(text: object) -> list[str]:
    """The lines of a text of several, without empty ones and without what cannot be printed."""
    return [line for line in (one_line(part) for part in str(text or '').splitlines()) if line]


def one_line(text: object) -> str:
    """A text as one line: composed, with single spaces, without characters that are not printed."""
    composed = unicodedata.normalize('NFC', str(text if text is not None else ''))
    # Marks and joiners that only say how to write or break a word are left out, with what is no character at all.
    kept = (' ' if c.isspace() or unicodedata.category(c) in ('Cc', 'Zl', 'Zp') else c for c in composed)
    return ' '.join(''.join(c for c in kept if unicodedata.category(c) != 'Cf').split())
