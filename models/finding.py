"""Finding customers in every list, and prospects, by a few letters: what the search over everything shows while one
types."""

from typing import Any

from models.customer import Customer, Listing
from models.database import reader, rows
from models.history import numbered
from models.prospect import Prospect, ProspectState
from models.rights import may
from models.text import fold, sort_key
from models.user import PortalUser

MOST = 12  # customers that are shown
MOST_PROSPECTS = 6
LONGEST = 100  # letters that are searched for
CANDIDATES = 300  # that are read to be ranked
LONGEST_CODE = 40
_LAST = '\U0010ffff'  # after every letter in the order of both databases
_SHOWN = ('id', 'name', 'account_code', 'code_is_provisional', 'domain', 'listing', 'worst', 'name_key')


async def find_customers(user: PortalUser, typed: str, *, limit: int = MOST) -> list[dict[str, Any]]:
    """The customers of this user in whose name, account code or domain all of the words are, the likeliest first.

    What begins as was typed (the name, the code) goes before what only contains it.
    """
    words = fold(typed[:LONGEST]).split()
    if not words:
        return []
    whole = ' '.join(words)
    mine = Customer.visible_to(user)
    found: list[dict[str, Any]] = []
    if sort_key(whole) == whole:  # what names are sorted by has no signs at its beginning
        # This reads one index; all lists are named, because that is how the index begins.
        beginning = mine.filter(listing__in=list(Listing), name_key__gte=whole, name_key__lt=whole + _LAST)
        found += await rows(beginning.order_by('name_key', 'id').limit(limit).values(*_SHOWN))
    codes = {code for code in (typed.strip(), whole, whole.upper()) if len(code) <= LONGEST_CODE}
    found += await rows(mine.filter(account_code__in=sorted(codes)).limit(limit).values(*_SHOWN))
    if len({row['id'] for row in found}) < limit:
        found += await _containing(user, words)
    unlike = {row['id']: row for row in found}
    ranked = sorted(unlike.values(), key=lambda row: (_rank(row, whole), row['name_key'], row['id']))
    return [_told(row) for row in ranked[:limit]]


async def find_prospects(user: PortalUser, typed: str, *, limit: int = MOST_PROSPECTS) -> list[dict[str, Any]]:
    """The prospects of this user in whose name, domain or lead all of the words are, the likeliest first.

    What became a customer is found as one.
    """
    words = fold(typed[:LONGEST]).split()
    if not words or not may(user, 'prospect.see'):
        return []
    mine = Prospect.visible_to(user).exclude(state=ProspectState.CONVERTED)
    for word in words:
        mine = mine.filter(search_key__contains=word)
    shown = ('id', 'name', 'domain', 'state', 'name_key')
    found = await rows(mine.order_by('name_key', 'id').limit(CANDIDATES).values(*shown))
    whole = ' '.join(words)
    found.sort(key=lambda row: (_rank(row | {'account_code': ''}, whole), row['name_key'], row['id']))
    return [
        {'id': row['id'], 'name': row['name'], 'domain': row['domain'], 'state': ProspectState(row['state']).title}
        for row in found[:limit]
    ]


async def these_customers(user: PortalUser, ids: list[int]) -> list[dict[str, Any]]:
    """Those of these customers that are the user's to see, in the order of the ids."""
    found = {row['id']: row for row in await rows(Customer.visible_to(user).filter(id__in=ids).values(*_SHOWN))}
    return [_told(found[each]) for each in dict.fromkeys(ids) if each in found]


async def _containing(user: PortalUser, words: list[str]) -> list[dict[str, Any]]:
    mine = Customer.visible_to(user)
    if user.sees_all:
        ids = await _candidates(user.partner_id, words)
        seen = await rows(mine.filter(id__in=ids).values(*_SHOWN))
        if len(ids) < CANDIDATES or len(seen) >= MOST:
            return seen
    for word in words:
        mine = mine.filter(search_key__contains=word)
    return await rows(mine.limit(CANDIDATES).values(*_SHOWN))


async def _candidates(partner_id: int, words: list[str]) -> list[int]:
    """Customers of the partner, whoever may see them, where these words are; codes and domains that begin so first.

    The plus keeps SQLite from its indexes, none of which holds what is searched: a walk through the table takes a third
    of the time of one through an index and the table.
    """
    connection = reader()
    conditions = ' AND '.join(f'"search_key" LIKE ?{n} ESCAPE \'\\\'' for n in range(3, len(words) + 3))
    found = await connection.execute_query_dict(
        numbered(
            connection,
            f'SELECT "id" FROM "customer" WHERE +"partner_id" = ?1 AND {conditions} '
            f'ORDER BY CASE WHEN "search_key" LIKE ?2 ESCAPE \'\\\' THEN 0 ELSE 1 END LIMIT {CANDIDATES}',
        ),
        [partner_id, f'%\n{_literal(words[0])}%', *(f'%{_literal(word)}%' for word in words)],
    )
    return [row['id'] for row in found]


def _literal(word: str) -> str:
    return ''.join(f'\\{c}' if c in '\\%_' else c for c in word)


def _rank(row: dict[str, Any], whole: str) -> int:
    name, code, domain = fold(row['name']), fold(row['account_code']), fold(row['domain'])
    if code == whole:
        return 0
    if row['name_key'].startswith(whole) or name.startswith(whole) or code.startswith(whole):
        return 1
    if any(word.startswith(whole) for word in name.split()) or f' {whole}' in name or domain.startswith(whole):
        return 2
    return 3 if whole in name else 4


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {
        'id': row['id'], 'name': row['name'], 'code': row['account_code'],
        'is_provisional': bool(row['code_is_provisional']), 'domain': row['domain'],
        'listing': str(row['listing']), 'worst': int(row['worst']),
    }  # fmt: skip
