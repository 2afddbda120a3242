from tortoise import migrations
from tortoise.migrations import operations as ops
from models.attachment import AttachmentKind, AttachmentState
from models.contact import ContactKind
from models.infrastructure import Directory, MailPlatform
from models.monitor import MonitorState
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('models', '0003_sort_by_licences')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Attachment',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='attachments', on_delete=OnDelete.CASCADE)),
                ('kind', fields.CharEnumField(default=AttachmentKind.OTHER, description='ORDER: order\nADDENDUM: addendum\nRFI_COPY: rfi_copy\nOTHER: other', enum_type=AttachmentKind, max_length=10)),
                ('name', fields.CharField(max_length=200)),
                ('stored', fields.CharField(unique=True, max_length=40)),
                ('size', fields.BigIntField()),
                ('sha256', fields.CharField(max_length=64)),
                ('state', fields.CharEnumField(default=AttachmentState.WAITING, description='WAITING: waiting\nWORKING: working\nREADY: ready\nFAILED: failed', enum_type=AttachmentState, max_length=8)),
                ('reason', fields.CharField(default='', db_default='', max_length=200)),
                ('pages', fields.IntField(null=True)),
                ('pdf_size', fields.BigIntField(null=True)),
                ('uploaded_by_id', fields.IntField(null=True)),
                ('uploaded_by', fields.CharField(default='', db_default='', max_length=120)),
                ('uploaded_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('started_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('done_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('original_deleted_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'attachment', 'app': 'models', 'unique_together': (('customer_id', 'sha256'),), 'indexes': [Index(fields=['state', 'uploaded_at'])], 'pk_attr': 'id', 'table_description': 'A document of a customer'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Contact',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='contacts', on_delete=OnDelete.CASCADE)),
                ('kind', fields.CharEnumField(description='MAIN: main\nTECHNICAL: technical\nEMERGENCY: emergency\nBILLING: billing', enum_type=ContactKind, max_length=12)),
                ('first_name', fields.CharField(default='', description='First name', db_default='', max_length=80)),
                ('last_name', fields.CharField(default='', description='Last name', db_default='', max_length=80)),
                ('email', fields.CharField(default='', description='E-mail', db_default='', max_length=254)),
                ('phone', fields.CharField(default='', description='Phone', db_default='', max_length=40)),
                ('mobile', fields.CharField(default='', description='Mobile', db_default='', max_length=40)),
            ],
            options={'table': 'contact', 'app': 'models', 'unique_together': (('customer_id', 'kind'),), 'pk_attr': 'id', 'table_description': 'Whom to call at a customer'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Infrastructure',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.OneToOneField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='infrastructure', on_delete=OnDelete.CASCADE)),
                ('domains', fields.JSONField(default=list, description='Domains', db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('mail_platform', fields.CharEnumField(default=MailPlatform.UNKNOWN, description='Mail platform', db_default='', enum_type=MailPlatform, max_length=20)),
                ('mail_server', fields.CharField(default='', description='Mail server', db_default='', max_length=120)),
                ('server_os', fields.CharField(default='', description='Server OS', db_default='', max_length=120)),
                ('directory', fields.CharEnumField(default=Directory.UNKNOWN, description='Active Directory environment', db_default='', enum_type=Directory, max_length=24)),
                ('outbound_ips', fields.JSONField(default=list, description='Outbound IP addresses', db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('inbound_ips', fields.JSONField(default=list, description='Inbound IP addresses', db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={'table': 'infrastructure', 'app': 'models', 'pk_attr': 'id', 'table_description': 'What a customer’s mail runs on'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Note',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='notes', on_delete=OnDelete.CASCADE)),
                ('body', fields.TextField(unique=False)),
                ('version', fields.IntField(default=1, db_default=1)),
                ('author_id', fields.IntField(null=True)),
                ('author', fields.CharField(max_length=120)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('edited_by_id', fields.IntField(null=True)),
                ('edited_by', fields.CharField(default='', db_default='', max_length=120)),
                ('edited_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'note', 'app': 'models', 'indexes': [Index(fields=['customer_id', 'created_at'])], 'pk_attr': 'id', 'table_description': 'A note about a customer'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='NoteVersion',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('note', fields.ForeignKeyField('models.Note', source_field='note_id', db_constraint=True, to_field='id', related_name='versions', on_delete=OnDelete.CASCADE)),
                ('version', fields.IntField()),
                ('body', fields.TextField(unique=False)),
                ('by', fields.CharField(max_length=120)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'note_version', 'app': 'models', 'unique_together': (('note_id', 'version'),), 'pk_attr': 'id', 'table_description': 'What a note said before it was edited'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Price',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='prices', on_delete=OnDelete.CASCADE)),
                ('product', fields.ForeignKeyField('models.Product', source_field='product_id', db_constraint=True, to_field='id', related_name='prices', on_delete=OnDelete.RESTRICT)),
                ('unit_price', fields.DecimalField(description='Price a seat and month', max_digits=12, decimal_places=2)),
                ('currency', fields.CharField(default='EUR', db_default='EUR', max_length=3)),
            ],
            options={'table': 'price', 'app': 'models', 'unique_together': (('partner_id', 'product_id'),), 'pk_attr': 'id', 'table_description': 'A line of an MSP’s price list'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Sample',
            fields=[
                ('id', fields.BigIntField(primary_key=True, generated=False)),
                ('at', fields.BigIntField()),
                ('value', fields.FloatField(null=True)),
                ('state', fields.CharEnumField(description='GOOD: good\nBAD: bad\nUNKNOWN: unknown\nNOT_CONFIGURED: not_configured', enum_type=MonitorState, max_length=15)),
            ],
            options={'table': 'sample', 'app': 'models', 'pk_attr': 'id', 'table_description': 'A reading that a chart shows'},
            bases=['Model'],
        ),
        ops.AddField(
            model_name='CustomerProduct',
            name='renews_on',
            field=fields.DateField(null=True),
        ),
    ]
