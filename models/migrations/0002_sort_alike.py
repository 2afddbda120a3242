"""On PostgreSQL, names sort as they do on SQLite (by the folded text itself), whatever locale the server was made with."""

from tortoise import migrations
from tortoise.migrations import operations as ops

COLUMNS = {
    'customer': {
        'name_key': 220, 'initial': 1, 'search_key': 700, 'account_code': 40, 'domain': 253, 'products_in_short': 200,
        'connect_status': 120, 'account_type': 10,
    },
    'delegated_access': {'role': 80},
}


async def sort_alike(_apps, schema_editor) -> None:
    if schema_editor.client.capabilities.dialect != 'postgres':
        return
    for table, columns in COLUMNS.items():
        changes = ', '.join(
            f'ALTER COLUMN "{name}" TYPE VARCHAR({length}) COLLATE "C"' for name, length in columns.items()
        )
        await schema_editor.client.execute_script(f'ALTER TABLE "{table}" {changes}')


async def nothing(_apps, _schema_editor) -> None:
    """Going back needs nothing: the order is only another one."""


class Migration(migrations.Migration):
    dependencies = [('models', '0001_initial')]

    operations = [ops.RunPython(sort_alike, nothing)]
