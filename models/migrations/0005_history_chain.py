"""The history becomes chains: what was written gets its text, its hash and its place; triggers refuse the rest.

In portions, in the order in which it was written. The statements of the triggers stand here and not in the models, so
that they stay what this migration made; their names are `models.history.TRIGGERS`.
"""

import secrets
from typing import Any

import orjson
from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

from models.history import as_json, as_utc, chain_of, hash_of_entry, hash_of_text, insert_rows, numbered

PORTION = 5000


async def chain(_apps, schema_editor) -> None:
    """Give every entry its place in its chain, and a text beside it."""
    client = schema_editor.client
    ends: dict[str, list[Any]] = {}
    last = 0
    while found := await client.execute_query_dict(
        numbered(client, 'SELECT * FROM "history_event" WHERE "id" > ?1 ORDER BY "id" LIMIT ?2'), [last, PORTION]
    ):
        last = found[-1]['id']
        texts, places = [], []
        for row in map(dict, found):
            text = [secrets.token_hex(16), row['actor'], row['summary'], as_json(_read(row['data']))]
            name = chain_of(row['partner_id'], row['customer_id'])
            end = ends.setdefault(name, [name, row['partner_id'], row['customer_id'], 0, '', 0])
            end[3] += 1
            at = as_utc(row['at'])
            row |= {'chain': name, 'sequence': end[3], 'at': at, 'text_hash': hash_of_text(*text), 'previous': end[4]}
            end[4] = hash_of_entry(row)
            stored = at.isoformat(' ') if client.capabilities.dialect == 'sqlite' else at
            places.append([name, end[3], stored, row['text_hash'], row['previous'], end[4], row['id']])
            texts.append([row['id'], *text])
        await insert_rows(client, 'history_text', ('event_id', 'salt', 'actor', 'summary', 'data'), texts)
        await client.execute_many(
            numbered(
                client,
                'UPDATE "history_event" SET "chain"=?1, "sequence"=?2, "at"=?3, "text_hash"=?4, "previous"=?5, '
                '"hash"=?6 WHERE "id"=?7',
            ),
            places,
        )
    columns = ('chain', 'partner_id', 'customer_id', 'length', 'head', 'pruned')
    await insert_rows(client, 'history_chain', columns, sorted(ends.values()))


def _read(data: Any) -> Any:
    return orjson.loads(data) if isinstance(data, str | bytes) else data


_SQLITE = [
    """
    CREATE TRIGGER history_event_no_update BEFORE UPDATE ON history_event
    BEGIN SELECT RAISE(ABORT, 'an entry of the history is never changed'); END
    """,
    """
    CREATE TRIGGER history_event_no_delete BEFORE DELETE ON history_event
    WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id = OLD.customer_id AND is_simulated)
    BEGIN SELECT RAISE(ABORT, 'an entry of the history is never deleted'); END
    """,
    # INSERT OR REPLACE deletes what is in its way, and no trigger of deletion hears of it.
    """
    CREATE TRIGGER history_event_no_replace BEFORE INSERT ON history_event
    WHEN EXISTS (SELECT 1 FROM history_event WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM history_event WHERE chain = NEW.chain AND sequence = NEW.sequence)
    BEGIN SELECT RAISE(ABORT, 'an entry of the history is never replaced'); END
    """,
    """
    CREATE TRIGGER history_text_no_update BEFORE UPDATE ON history_text
    BEGIN SELECT RAISE(ABORT, 'a text of the history is never changed'); END
    """,
    """
    CREATE TRIGGER history_text_no_replace BEFORE INSERT ON history_text
    WHEN EXISTS (SELECT 1 FROM history_text WHERE event_id = NEW.event_id)
    BEGIN SELECT RAISE(ABORT, 'a text of the history is never replaced'); END
    """,
    # Only the history of simulated customers can be deleted; so nothing real may become one of them.
    """
    CREATE TRIGGER customer_stays_real BEFORE UPDATE OF id, is_simulated ON customer
    WHEN NEW.is_simulated AND (NOT OLD.is_simulated OR NEW.id <> OLD.id)
    BEGIN SELECT RAISE(ABORT, 'a real customer cannot become a simulated one'); END
    """,
    """
    CREATE TRIGGER customer_not_real_before BEFORE INSERT ON customer
    WHEN NEW.is_simulated AND EXISTS (SELECT 1 FROM history_event WHERE chain = 'c:' || NEW.id)
    BEGIN SELECT RAISE(ABORT, 'a simulated customer cannot take the number of another'); END
    """,
]


def _refuses(name: str, when: str, message: str, unless: str = '') -> list[str]:
    """A function that refuses, and its trigger."""
    allowed = f'IF {unless} THEN RETURN COALESCE(NEW, OLD); END IF;' if unless else ''
    return [
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            {allowed}
            RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        f'CREATE TRIGGER {name} BEFORE {when} EXECUTE FUNCTION {name}()',
    ]


_POSTGRES = [
    *_refuses(
        'history_event_no_update', 'UPDATE ON history_event FOR EACH ROW', 'an entry of the history is never changed'
    ),
    *_refuses(
        'history_event_no_delete', 'DELETE ON history_event FOR EACH ROW', 'an entry of the history is never deleted',
        unless='EXISTS (SELECT 1 FROM customer WHERE id = OLD.customer_id AND is_simulated)',
    ),
    *_refuses(
        'history_event_no_truncate', 'TRUNCATE ON history_event FOR EACH STATEMENT',
        'an entry of the history is never deleted',
    ),
    *_refuses(
        'history_text_no_update', 'UPDATE ON history_text FOR EACH ROW', 'a text of the history is never changed'
    ),
    *_refuses(
        'history_text_no_truncate', 'TRUNCATE ON history_text FOR EACH STATEMENT',
        'a text of the history is erased one by one',
    ),
    *_refuses(
        'customer_stays_real',
        'UPDATE OF id, is_simulated ON customer FOR EACH ROW '
        'WHEN (NEW.is_simulated AND (NOT OLD.is_simulated OR NEW.id <> OLD.id))',
        'a real customer cannot become a simulated one',
    ),
    *_refuses(
        'customer_not_real_before', 'INSERT ON customer FOR EACH ROW WHEN (NEW.is_simulated)',
        'a simulated customer cannot take the number of another',
        unless="NOT EXISTS (SELECT 1 FROM history_event WHERE chain = 'c:' || NEW.id)",
    ),
]  # fmt: skip


async def protect(_apps, schema_editor) -> None:
    # One by one: a script would end the transaction on SQLite, and RunSQL would split a trigger at its semicolon.
    for statement in _SQLITE if schema_editor.client.capabilities.dialect == 'sqlite' else _POSTGRES:
        await schema_editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [('models', '0004_customer_page')]

    initial = False

    operations = [
        ops.CreateModel(
            name='HistoryChain',
            fields=[
                ('chain', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
                ('partner_id', fields.IntField()),
                ('customer_id', fields.IntField(null=True)),
                ('length', fields.IntField(default=0)),
                ('head', fields.CharField(default='', max_length=64)),
                ('pruned', fields.IntField(default=0)),
            ],
            options={'table': 'history_chain', 'app': 'models', 'indexes': [Index(fields=['partner_id'])], 'pk_attr': 'chain', 'table_description': 'How long a chain of the history is, and how it ends'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='HistoryText',
            fields=[
                ('event_id', fields.BigIntField(generated=False, primary_key=True, unique=True, db_index=True)),
                ('salt', fields.CharField(max_length=32)),
                ('actor', fields.CharField(max_length=120)),
                ('summary', fields.CharField(max_length=400)),
                ('data', fields.TextField(unique=False)),
            ],
            options={'table': 'history_text', 'app': 'models', 'pk_attr': 'event_id', 'table_description': 'What an entry of the history says, until it is erased'},
            bases=['Model'],
        ),
        ops.RemoveIndex(
            model_name='HistoryEvent',
            name=None,
            fields=['customer_id', 'at'],
        ),
        ops.RemoveIndex(
            model_name='HistoryEvent',
            name=None,
            fields=['partner_id', 'at'],
        ),
        ops.AddField(
            model_name='HistoryEvent',
            name='chain',
            field=fields.CharField(db_default='', max_length=16),
        ),
        ops.AddField(
            model_name='HistoryEvent',
            name='hash',
            field=fields.CharField(db_default='', max_length=64),
        ),
        ops.AddField(
            model_name='HistoryEvent',
            name='previous',
            field=fields.CharField(db_default='', max_length=64),
        ),
        ops.AddField(
            model_name='HistoryEvent',
            name='sequence',
            field=fields.IntField(db_default=0),
        ),
        ops.AddField(
            model_name='HistoryEvent',
            name='text_hash',
            field=fields.CharField(db_default='', max_length=64),
        ),
        ops.RunPython(chain),
        ops.RemoveField(model_name='HistoryEvent', name='actor'),
        ops.RemoveField(model_name='HistoryEvent', name='data'),
        ops.RemoveField(model_name='HistoryEvent', name='summary'),
        ops.AddIndex(
            model_name='HistoryEvent',
            index=Index(fields=['chain', 'at', 'id']),
        ),
        ops.AddConstraint(
            model_name='HistoryEvent',
            constraint=UniqueConstraint(fields=('chain', 'sequence'), name=None),
        ),
        ops.RunPython(protect),
    ]
