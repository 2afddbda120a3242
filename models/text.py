"""Folding of names, so that searching and sorting are the same on every database."""

import unicodedata

_LETTERS = str.maketrans({'ß': 'ss', 'ø': 'o', 'đ': 'd', 'ł': 'l', 'æ': 'ae', 'œ': 'oe', 'ð': 'd', 'þ': 'th', 'ı': 'i'})


def fold(text: str) -> str:
    """Lower case without accents: `Émile` and `EMILE` fold to the same text.

    Done here and stored, because SQLite and PostgreSQL fold differently (and SQLite hardly at all).
    """
    # Decomposed on both sides of the case folding: `™` becomes `TM` first, and some letters fold into accented ones.
    decomposed = unicodedata.normalize('NFKD', unicodedata.normalize('NFKD', text).casefold())
    plain = ''.join(c for c in decomposed if not unicodedata.combining(c))
    return plain.translate(_LETTERS).replace('\x00', '')


def sort_key(text: str) -> str:
    """What a name is sorted by: folded, outer spaces and leading punctuation ignored.

    A name of punctuation only keeps it, so that it still has a place.
    """
    folded = fold(text).strip()
    stripped = folded.lstrip('"\'“”‘’«»([{<>#-–—.,:;!?*&@/\\ ')
    return stripped or folded


def initial(text: str) -> str:
    """The letter under which a name is filed: `a` to `z`, or `#` for the rest."""
    first = sort_key(text)[:1]
    return first if 'a' <= first <= 'z' else '#'


def printable(text: str) -> str:
    """The text without control characters and with single spaces: what a one-line field stores."""
    return ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
