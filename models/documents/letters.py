"""Arabic letters in the shapes that they have within a word.

A font has a shape for a letter that stands alone, begins, goes on or ends; which one is drawn is the writer's to say.
Unicode has a character for each of these shapes, made for writers as plain as this one; its decomposition tells what it
is a shape of.
"""

import unicodedata
from functools import cache

ALONE, END, BEGIN, MIDDLE = '<isolated>', '<final>', '<initial>', '<medial>'
_TATWEEL, _LAM = '\u0640', '\u0644'


@cache
def _shapes() -> dict[str, dict[str, str]]:
    """Of each letter (or lam with an alef) its shapes."""
    found: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBFF), *range(0xFE80, 0xFEFD)):
        how, *made_of = unicodedata.decomposition(chr(code)).split()[:3] or ['']
        if how in (ALONE, END, BEGIN, MIDDLE):
            letters = ''.join(chr(int(each, 16)) for each in made_of)
            if len(letters) == 1 or letters[0] == _LAM:
                found.setdefault(letters, {}).setdefault(how, chr(code))
    return found


def joined(text: str) -> str:
    """The text with every letter of the Arabic script in its shape, still in the order in which it is spoken."""
    shapes = _shapes()
    if not any(letter in shapes for letter in text):
        return text
    done: list[str] = []
    units = _units(text)
    for n, unit in enumerate(units):
        known = shapes.get(unit)
        if known is None:
            done.append(unit)
            continue
        before, after = _beside(units, n, -1), _beside(units, n, 1)
        follows = before is not None and _goes_on(before) and END in known
        goes_on = after is not None and _takes(after) and BEGIN in known
        how = MIDDLE if follows and goes_on else END if follows else BEGIN if goes_on else ALONE
        done.append(known.get(how, unit))
    return ''.join(done)


def _units(text: str) -> list[str]:
    """Letters, where lam and alef are one."""
    units: list[str] = []
    for letter in text:
        if units and units[-1] == _LAM and units[-1] + letter in _shapes():
            units[-1] += letter
        else:
            units.append(letter)
    return units


def _beside(units: list[str], n: int, way: int) -> str | None:
    """The next letter on this side; marks above and below letters do not part them."""
    n += way
    while 0 <= n < len(units):
        if not unicodedata.combining(units[n][0]):
            return units[n]
        n += way
    return None


def _goes_on(unit: str) -> bool:
    """Whether it is joined to the letter after it."""
    return unit == _TATWEEL or BEGIN in _shapes().get(unit, ())


def _takes(unit: str) -> bool:
    """Whether it is joined to the letter before it."""
    return unit == _TATWEEL or END in _shapes().get(unit, ())
