from tortoise import migrations
from tortoise.migrations import operations as ops
from models.history import numbered
from models.text import fold, initial, sort_key
from models.admin_console import SignOnKind
from models.message import MessageState
from models.one_time_link import LinkKind
from models.partner import MailSecurity, TwoFactorRule
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index


async def named(_apps, schema_editor) -> None:
    """Who is there gets what lists of people go by, and is registered since they came if they have a password."""
    client = schema_editor.client
    people = await client.execute_query_dict('SELECT "id", "name", "email" FROM "portal_user" ORDER BY "id"')
    await client.execute_many(
        numbered(client, 'UPDATE "portal_user" SET "name_key"=?1, "initial"=?2, "search_key"=?3 WHERE "id"=?4'),
        [
            [
                sort_key(row['name'])[:140], initial(row['name']),
                '\n'.join(fold(part) for part in (row['name'], row['email']))[:400], row['id'],
            ]
            for row in people
        ],
    )
    await client.execute_script('UPDATE "portal_user" SET "registered_at"="created_at" WHERE "password_hash"<>\'\'')


class Migration(migrations.Migration):
    dependencies = [('models', '0005_history_chain')]

    initial = False

    operations = [
        ops.CreateModel(
            name='AdminConsole',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='consoles', on_delete=OnDelete.CASCADE)),
                ('name', fields.CharField(max_length=80)),
                ('sign_on', fields.CharEnumField(default=SignOnKind.VENDOR, description='VENDOR: vendor\nASSERTION: assertion', enum_type=SignOnKind, max_length=10)),
                ('address', fields.CharField(default='', db_default='', max_length=300)),
                ('audience', fields.CharField(default='', db_default='', max_length=300)),
            ],
            options={'table': 'admin_console', 'app': 'models', 'unique_together': (('partner_id', 'name'),), 'pk_attr': 'id', 'table_description': 'How to sign on to the consoles of customers'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='BackupRun',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('started_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('finished_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('path', fields.CharField(default='', db_default='', max_length=500)),
                ('size', fields.BigIntField(default=0, db_default=0)),
                ('is_encrypted', fields.BooleanField(default=False, db_default=False)),
                ('verified_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(default='', db_default='', max_length=300)),
            ],
            options={'table': 'backup_run', 'app': 'models', 'indexes': [Index(fields=['started_at'])], 'pk_attr': 'id', 'table_description': 'A backup'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='CustomerTag',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='tags', on_delete=OnDelete.CASCADE)),
                ('tag', fields.CharField(max_length=40)),
            ],
            options={'table': 'customer_tag', 'app': 'models', 'unique_together': (('tag', 'customer_id'),), 'pk_attr': 'id', 'table_description': 'A word that groups customers'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Message',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='messages', on_delete=OnDelete.CASCADE)),
                ('key', fields.CharField(unique=True, max_length=64)),
                ('kind', fields.CharField(max_length=40)),
                ('recipient', fields.CharField(max_length=254)),
                ('subject', fields.CharField(max_length=200)),
                ('body', fields.TextField(default='', db_default='', unique=False)),
                ('state', fields.CharEnumField(default=MessageState.WAITING, description='WAITING: waiting\nSENT: sent\nFAILED: failed', enum_type=MessageState, max_length=10)),
                ('attempts', fields.IntField(default=0, db_default=0)),
                ('due_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('good_until', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('sent_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('error', fields.CharField(default='', db_default='', max_length=300)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'message', 'app': 'models', 'indexes': [Index(fields=['state', 'due_at']), Index(fields=['partner_id', 'created_at'])], 'pk_attr': 'id', 'table_description': 'An e-mail that waits, was sent or failed'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='OneTimeLink',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('kind', fields.CharEnumField(description='INVITE: invite\nRESET: reset', enum_type=LinkKind, max_length=10)),
                ('user', fields.ForeignKeyField('models.PortalUser', source_field='user_id', db_constraint=True, to_field='id', related_name='links', on_delete=OnDelete.CASCADE)),
                ('token_hash', fields.CharField(unique=True, max_length=64)),
                ('made_by_id', fields.IntField(null=True)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('used_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('revoked_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'one_time_link', 'app': 'models', 'indexes': [Index(fields=['user_id', 'kind']), Index(fields=['expires_at'])], 'pk_attr': 'id', 'table_description': 'A link that can be used once'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RecoveryCode',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user', fields.ForeignKeyField('models.PortalUser', source_field='user_id', db_constraint=True, to_field='id', related_name='recovery_codes', on_delete=OnDelete.CASCADE)),
                ('code_hash', fields.CharField(max_length=64)),
                ('used_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'recovery_code', 'app': 'models', 'unique_together': (('user_id', 'code_hash'),), 'pk_attr': 'id', 'table_description': 'A code in place of the second factor'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SigningKey',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('kid', fields.CharField(unique=True, max_length=64)),
                ('private', fields.TextField(unique=False)),
                ('public', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('retired_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'signing_key', 'app': 'models', 'pk_attr': 'id', 'table_description': 'A key that signs assertions'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='UserTag',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('user', fields.ForeignKeyField('models.PortalUser', source_field='user_id', db_constraint=True, to_field='id', related_name='sight_tags', on_delete=OnDelete.CASCADE)),
                ('tag', fields.CharField(max_length=40)),
            ],
            options={'table': 'user_tag', 'app': 'models', 'unique_together': (('user_id', 'tag'),), 'pk_attr': 'id', 'table_description': 'A tag by which a user sees customers'},
            bases=['Model'],
        ),
        ops.AddField(
            model_name='Customer',
            name='console',
            field=fields.ForeignKeyField('models.AdminConsole', source_field='console_id', null=True, db_constraint=True, to_field='id', related_name='customers', on_delete=OnDelete.SET_NULL),
        ),
        ops.AddField(
            model_name='DelegatedAccess',
            name='granted_by_id',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='DelegatedAccess',
            name='reason',
            field=fields.CharField(default='', db_default='', max_length=200),
        ),
        ops.AddField(
            model_name='Partner',
            name='address',
            field=fields.TextField(default='', description='Address', db_default='', unique=False),
        ),
        ops.AddField(
            model_name='Partner',
            name='currency',
            field=fields.CharField(default='USD', description='Currency', db_default='USD', max_length=3),
        ),
        ops.AddField(
            model_name='Partner',
            name='help_base',
            field=fields.CharField(default='', description='Help base address', db_default='', max_length=300),
        ),
        ops.AddField(
            model_name='Partner',
            name='help_links',
            field=fields.JSONField(default=dict, description='Help links', db_default='{}', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='inbound_ips',
            field=fields.JSONField(default=list, description='Inbound IP addresses', db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='logo',
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name='Partner',
            name='mail_from',
            field=fields.CharField(default='', description='Sender', db_default='', max_length=254),
        ),
        ops.AddField(
            model_name='Partner',
            name='outbound_ips',
            field=fields.JSONField(default=list, description='Outbound IP addresses', db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='smart_hosts',
            field=fields.JSONField(default=list, description='Smart hosts', db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='smtp_host',
            field=fields.CharField(default='', description='Mail server', db_default='', max_length=253),
        ),
        ops.AddField(
            model_name='Partner',
            name='smtp_password',
            field=fields.CharField(default='', db_default='', max_length=600),
        ),
        ops.AddField(
            model_name='Partner',
            name='smtp_port',
            field=fields.IntField(default=587, description='Port', db_default=587),
        ),
        ops.AddField(
            model_name='Partner',
            name='smtp_security',
            field=fields.CharEnumField(default=MailSecurity.STARTTLS, description='Security', db_default=MailSecurity.STARTTLS, enum_type=MailSecurity, max_length=10),
        ),
        ops.AddField(
            model_name='Partner',
            name='smtp_user',
            field=fields.CharField(default='', description='User', db_default='', max_length=254),
        ),
        ops.AddField(
            model_name='Partner',
            name='time_zone',
            field=fields.CharField(default='UTC', description='Time zone', db_default='UTC', max_length=64),
        ),
        ops.AddField(
            model_name='Partner',
            name='two_factor',
            field=fields.CharEnumField(default=TwoFactorRule.OFF, description='Two-factor', db_default=TwoFactorRule.OFF, enum_type=TwoFactorRule, max_length=10),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='initial',
            field=fields.CharField(default='', db_default='', max_length=1),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='name_key',
            field=fields.CharField(default='', db_default='', max_length=140),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='oidc_issuer',
            field=fields.CharField(default='', db_default='', max_length=300),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='oidc_subject',
            field=fields.CharField(default='', db_default='', max_length=255),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='registered_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='search_key',
            field=fields.CharField(default='', db_default='', max_length=400),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='time_zone',
            field=fields.CharField(default='', description='Time zone', db_default='', max_length=64),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='totp_key',
            field=fields.CharField(default='', db_default='', max_length=300),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='totp_since',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='totp_step',
            field=fields.BigIntField(default=0, db_default=0),
        ),
        ops.RunPython(named),
    ]
