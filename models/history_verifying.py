"""Whether the history is as it was written: every hash, link, number and text, and the end of every chain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient

from models.database import reader
from models.history import ERASED, TRIGGERS, TRIGGERS_THERE, chain_of, hash_of_entry, hash_of_text, numbered

PORTION = 2000


@dataclass(frozen=True)
class Finding:
    """What is not as it was written; `sequence` is 0 where it is about the chain as a whole."""

    chain: str
    sequence: int
    what: str

    def __str__(self) -> str:
        whose = {'c': 'customer', 'p': 'MSP'}.get(self.chain[:1], 'chain')
        where = f', entry {self.sequence}' if self.sequence else ''
        return f'{whose} {self.chain.partition(":")[2] or "?"}{where}: {self.what}'


async def count(partner_id: int | None = None) -> tuple[int, int]:
    """How many entries there are, and how many chains."""
    connection = reader()
    where, values = ('', []) if partner_id is None else (' WHERE "partner_id" = ?1', [partner_id])
    numbers = []
    for table in ('history_event', 'history_chain'):
        sql = numbered(connection, f'SELECT COUNT(*) AS "n" FROM "{table}"{where}')
        numbers.append((await connection.execute_query_dict(sql, values))[0]['n'])
    return numbers[0], numbers[1]


async def verify(partner_id: int | None = None, progress: Callable[[int, int], object] | None = None) -> list[Finding]:
    """Walk all chains, or those of one MSP, and return what is not as it was written.

    Read in portions, each with the ends of its chains in the same statement: entries that are added meanwhile are seen
    together with the end that they moved.
    """
    connection = reader()
    total, done = (await count(partner_id))[0], 0
    findings: list[Finding] = []
    walk: _Walk | None = None
    last: tuple[str, int, int] | None = None
    while found := await _portion(connection, partner_id, last):
        for row in found:
            if walk is None or walk.chain != row['chain']:
                findings += walk.end() if walk else []
                walk = _Walk(row)
            walk.step(row)
        last = (found[-1]['chain'], found[-1]['sequence'], found[-1]['id'])
        done += len(found)
        if progress:
            progress(done, max(total, done))
    findings += walk.end() if walk else []
    return findings + await _left_behind(connection, partner_id)


async def _portion(
    connection: BaseDBAsyncClient, partner_id: int | None, last: tuple[str, int, int] | None
) -> list[dict[str, Any]]:
    conditions, values = [], []
    if last is not None:
        conditions.append('(e."chain", e."sequence", e."id") > (?1, ?2, ?3)')
        values += last
    if partner_id is not None:
        n = len(values) + 1
        conditions.append(f'(e."partner_id" = ?{n} OR c."partner_id" = ?{n})')
        values.append(partner_id)
    return await connection.execute_query_dict(
        numbered(
            connection,
            'SELECT e.*, t."event_id" AS "text_id", t."salt", t."actor", t."summary", t."data", '
            'c."chain" AS "end_of", c."length", c."head", c."pruned", s."is_simulated" FROM "history_event" e '
            'LEFT JOIN "history_text" t ON t."event_id" = e."id" LEFT JOIN "history_chain" c ON c."chain" = e."chain" '
            'LEFT JOIN "customer" s ON s."id" = c."customer_id" '
            + (f'WHERE {" AND ".join(conditions)} ' if conditions else '')
            + f'ORDER BY e."chain", e."sequence", e."id" LIMIT {PORTION}',
        ),
        values,
    )


@dataclass
class _Walk:
    """Goes along one chain from its oldest entry to its newest."""

    row: dict[str, Any]  # the last one
    findings: list[Finding] = field(default_factory=list)
    without_text: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chain: str = self.row['chain']
        # Only a simulated customer's oldest entries may be forgotten; what came before the first one left is unknown.
        self.forgotten = (self.row['pruned'] or 0) if self.row['is_simulated'] else 0
        self.sequence = self.forgotten
        self.previous = None if self.forgotten else ''

    def _find(self, sequence: int, what: str) -> None:
        self.findings.append(Finding(self.chain, sequence, what))

    def step(self, row: dict[str, Any]) -> None:
        sequence, self.row = row['sequence'], row
        if sequence > self.sequence + 1:
            self._missing(self.sequence + 1, sequence - 1)
            self.previous = None  # what it should follow is gone
        elif sequence == self.sequence and sequence > self.forgotten:
            self._find(sequence, 'is there twice')
        elif sequence <= self.sequence:
            self._find(sequence, 'should not be there')
        if row['hash'] != _hash(hash_of_entry, row):
            self._find(sequence, 'was changed: its hash is another one')
        if chain_of(row['partner_id'], row['customer_id']) != self.chain:
            self._find(sequence, 'is in a chain that is not its own')
        if self.previous is not None and row['previous'] != self.previous:
            self._find(sequence, 'does not follow from the entry before it')
        self.sequence, self.previous = max(sequence, self.sequence), row['hash']
        self._read(row)

    def _read(self, row: dict[str, Any]) -> None:
        if row['text_id'] is None:
            self.without_text.add(row['sequence'])
            return
        if row['text_hash'] != _hash(hash_of_text, row['salt'], row['actor'], row['summary'], row['data']):
            self._find(row['sequence'], 'its text was changed')
        elif row['kind'] == ERASED:
            told = orjson.loads(row['data'])
            if told.get('chain') == self.chain:
                self.erased.add(told['sequence'])

    def _missing(self, first: int, last: int) -> None:
        if first == last:
            self._find(first, 'is missing')
        else:
            self._find(first, f'is missing, and so are all up to {last}')

    def end(self) -> list[Finding]:
        for sequence in sorted(self.without_text - self.erased):
            self._find(sequence, 'its text is missing, and nothing says that it was erased')
        if self.row['end_of'] is None:
            self._find(0, 'its end is not written down')
        elif self.row['length'] > self.sequence:
            self._missing(self.sequence + 1, self.row['length'])
        elif self.row['length'] < self.sequence:
            self._find(self.row['length'] + 1, 'comes after the end of its chain')
        elif self.row['head'] != self.row['hash']:
            self._find(self.sequence, 'is not the one that was written last')
        return self.findings


def _hash(hash_of: Callable[..., str], *values: Any) -> str:
    try:
        return hash_of(*values)
    except (TypeError, ValueError):  # SQLite stores anything in a column of dates
        return ''


async def _left_behind(connection: BaseDBAsyncClient, partner_id: int | None) -> list[Finding]:
    """Chains all of whose entries are missing, and texts whose entry is."""
    whose, values = ('', []) if partner_id is None else (' AND c."partner_id" = ?1', [partner_id])
    chains = await connection.execute_query_dict(
        numbered(
            connection,
            'SELECT c."chain", c."length" FROM "history_chain" c WHERE NOT EXISTS '
            f'(SELECT 1 FROM "history_event" e WHERE e."chain" = c."chain"){whose} ORDER BY c."chain"',
        ),
        values,
    )
    findings = [Finding(row['chain'], 0, f'all {row["length"]} entries are missing') for row in chains]
    if partner_id is None:
        texts = await connection.execute_query_dict(
            'SELECT t."event_id" FROM "history_text" t WHERE NOT EXISTS '
            '(SELECT 1 FROM "history_event" e WHERE e."id" = t."event_id") ORDER BY 1 LIMIT 1000'
        )
        findings += [Finding('', 0, f'the text {row["event_id"]} belongs to no entry') for row in texts]
    return findings


async def missing_triggers(connection: BaseDBAsyncClient) -> list[str]:
    """The names of the triggers that should protect the history and are not there, or are switched off."""
    engine = connection.capabilities.dialect
    there = {row['name'] for row in await connection.execute_query_dict(TRIGGERS_THERE[engine])}
    return [name for name in TRIGGERS[engine] if name not in there]
