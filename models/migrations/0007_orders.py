from tortoise import migrations
from tortoise.migrations import operations as ops
from decimal import Decimal
from models.attachment import AttachmentKind
from models.customer import Closing
from models.message import MessageState
from models.order import ChangeMode, OrderKind, OrderState, VendorState
from models.partner import CompletionRule, reminder_days
from models.price import BillingTerm
from models.prospect import CompanyType, ProspectState, Sector
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint


# What each step needed when this was written: customers who are in Connect keep it.
NEEDS = {
    'account_configuration': ['rfi'], 'domain_validation': ['account_configuration'],
    'outbound_email': ['domain_validation'], 'directory_sync': ['account_configuration'],
    'recipient_validation': ['domain_validation'], 'journaling': ['domain_validation'],
    'user_authentication': ['directory_sync'], 'permitted_senders': ['outbound_email'],
    'inbound_email': ['outbound_email', 'recipient_validation'], 'lockdown': ['inbound_email'],
    'monitoring': ['recipient_validation'], 'handover': ['monitoring'],
}
# Of the step that a customer is at. Whoever is ready to complete is at none, though the key is that of the last one.
CURRENT = """(SELECT s."{column}" FROM "connect_step" s WHERE s."customer_id"="customer"."id"
    AND s."key"=CASE WHEN "customer"."connect_key" IN ('rfi_requested','rfi_received') THEN 'rfi'
    ELSE "customer"."connect_key" END AND s."state" NOT IN ('complete','skipped') LIMIT 1)"""


async def stated(client) -> None:
    """What the board of Connect goes by, as `Customer.restate` has it."""
    done = """(SELECT COUNT(*) FROM "connect_step" s WHERE s."customer_id"="customer"."id" AND s."state"='complete'
        AND NOT s."is_optional")"""
    left = """(SELECT COUNT(*) FROM "connect_step" s WHERE s."customer_id"="customer"."id"
        AND s."state" NOT IN ('complete','skipped') AND NOT s."is_optional")"""
    await client.execute_script(
        f"""UPDATE "customer" SET "steps_done"={done}, "steps_of"={done}+{left}"""  # nosec B608 # nothing but constants
    )
    nobody = """CASE WHEN "connect_status"='Ready to complete' THEN 'partner' ELSE 'customer' END"""
    await client.execute_script(
        f"""UPDATE "customer" SET "connect_owner"=COALESCE({CURRENT.format(column='owner')}, {nobody}),
        "connect_due"={CURRENT.format(column='due_at')} WHERE "listing"<>'complete'"""  # nosec B608 # the same
    )


async def named_currency(client) -> None:
    """Prices had a currency before the MSP had one: without this nothing of its price list could be ordered."""
    of_its_prices = """FROM "price" p WHERE p."partner_id"="partner"."id")"""
    await client.execute_script(
        f"""UPDATE "partner" SET "currency"=(SELECT MIN(p."currency") {of_its_prices}
        WHERE (SELECT COUNT(DISTINCT p."currency") {of_its_prices}=1"""  # nosec B608 # nothing but constants
    )


async def filled(_apps, schema_editor) -> None:
    """What the new columns say of customers and steps that are there already."""
    client = schema_editor.client
    for key, needs in NEEDS.items():
        given = '["' + '","'.join(needs) + '"]'
        await client.execute_script(
            f"""UPDATE "connect_step" SET "needs"='{given}' WHERE "key"='{key}'"""  # nosec B608 # both are constants
        )
    await stated(client)
    await named_currency(client)
    # When their contracts began nobody has said: cancelling counts from the day on which they were added, and says so.
    # Of the samples that all MSPs share there is one of each code; null is not equal to null.
    await client.execute_script('CREATE UNIQUE INDEX "product_shared_code" ON "product" ("code") WHERE "partner_id" IS NULL')


class Migration(migrations.Migration):
    dependencies = [('models', '0006_people')]

    initial = False

    operations = [
        ops.CreateModel(
            name='ConnectTemplate',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='connect_templates', on_delete=OnDelete.CASCADE)),
                ('key', fields.CharField(max_length=30)),
                ('name', fields.CharField(max_length=80)),
                ('version', fields.IntField(default=1, db_default=1)),
                ('steps', fields.JSONField(default=list, db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('is_current', fields.BooleanField(default=True, db_default=True)),
                ('is_default', fields.BooleanField(default=False, db_default=False)),
                ('made_by', fields.CharField(default='', db_default='', max_length=120)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'connect_template', 'app': 'models', 'unique_together': (('partner_id', 'key', 'version'),), 'pk_attr': 'id', 'table_description': 'A version of the steps of Connect'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Prospect',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='prospects', on_delete=OnDelete.RESTRICT)),
                ('name', fields.CharField(description='Company', max_length=200)),
                ('name_key', fields.CharField(max_length=220)),
                ('initial', fields.CharField(max_length=1)),
                ('search_key', fields.CharField(max_length=700)),
                ('company_type', fields.CharEnumField(default=CompanyType.UNKNOWN, description='Company type', db_default='', enum_type=CompanyType, max_length=16)),
                ('sector', fields.CharEnumField(default=Sector.UNKNOWN, description='Sector', db_default='', enum_type=Sector, max_length=16)),
                ('domain', fields.CharField(default='', description='Domain', db_default='', max_length=253)),
                ('domain_checked_at', fields.DatetimeField(null=True, description='Domain verified', auto_now=False, auto_now_add=False)),
                ('domain_found', fields.JSONField(default=dict, db_default='{}', encoder=JSON_DUMPS, decoder=loads)),
                ('website', fields.CharField(default='', description='Website', db_default='', max_length=300)),
                ('address', fields.TextField(default='', description='Address', db_default='', unique=False)),
                ('phone', fields.CharField(default='', description='Phone', db_default='', max_length=20)),
                ('seats', fields.IntField(default=0, description='Licences', db_default=0)),
                ('products', fields.JSONField(default=list, description='Products of interest', db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('lead_first_name', fields.CharField(default='', description='First name', db_default='', max_length=60)),
                ('lead_last_name', fields.CharField(default='', description='Last name', db_default='', max_length=60)),
                ('lead_email', fields.CharField(default='', description='E-mail', db_default='', max_length=254)),
                ('lead_phone', fields.CharField(default='', description='Phone of the lead', db_default='', max_length=20)),
                ('remarks', fields.TextField(default='', description='Remarks', db_default='', unique=False)),
                ('state', fields.CharEnumField(default=ProspectState.DRAFT, description='State', db_default='draft', enum_type=ProspectState, max_length=10)),
                ('lost_because', fields.CharField(default='', description='Lost because', db_default='', max_length=200)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', null=True, db_constraint=True, to_field='id', related_name='was_prospect', on_delete=OnDelete.SET_NULL)),
                ('created_by_id', fields.IntField(null=True)),
                ('created_by', fields.CharField(default='', description='Created by', db_default='', max_length=120)),
                ('created_at', fields.DatetimeField(description='Created', auto_now=False, auto_now_add=True)),
                ('changed_at', fields.DatetimeField(description='Changed', auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'prospect', 'app': 'models', 'indexes': [Index(fields=['partner_id', 'name_key']), Index(fields=['partner_id', 'state', 'name_key']), Index(fields=['partner_id', 'initial', 'name_key']), Index(fields=['partner_id', 'domain'])], 'pk_attr': 'id', 'table_description': 'A potential customer without an order'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Order',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.ForeignKeyField('models.Partner', source_field='partner_id', db_constraint=True, to_field='id', related_name='orders', on_delete=OnDelete.RESTRICT)),
                ('prospect', fields.ForeignKeyField('models.Prospect', source_field='prospect_id', null=True, db_constraint=True, to_field='id', related_name='orders', on_delete=OnDelete.CASCADE)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', null=True, db_constraint=True, to_field='id', related_name='orders', on_delete=OnDelete.CASCADE)),
                ('kind', fields.CharEnumField(default=OrderKind.NEW, description='NEW: new\nCHANGE: change\nCANCELLATION: cancel', enum_type=OrderKind, max_length=8)),
                ('state', fields.CharEnumField(default=OrderState.DRAFT, description='State', enum_type=OrderState, max_length=10)),
                ('version', fields.IntField(default=1, db_default=1)),
                ('seats', fields.IntField(default=0, description='Licences', db_default=0)),
                ('was_seats', fields.IntField(null=True)),
                ('mode', fields.CharEnumField(default=ChangeMode.NONE, description='NONE: \nKEEP: keep\nADD: add\nSELECT_NEW: select_new', db_default='', enum_type=ChangeMode, max_length=10)),
                ('products', fields.JSONField(default=list, description='Products', db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('lines', fields.JSONField(default=list, db_default='[]', encoder=JSON_DUMPS, decoder=loads)),
                ('fees', fields.JSONField(default=dict, db_default='{}', encoder=JSON_DUMPS, decoder=loads)),
                ('currency', fields.CharField(default='', db_default='', max_length=3)),
                ('details', fields.JSONField(default=dict, db_default='{}', encoder=JSON_DUMPS, decoder=loads)),
                ('export_open', fields.BooleanField(default=False, db_default=False)),
                ('po_number', fields.CharField(default='', description='Order (PO) number', db_default='', max_length=60)),
                ('po_waived', fields.BooleanField(default=False, description='Order number not required', db_default=False)),
                ('accepts_agreement', fields.BooleanField(default=False, db_default=False)),
                ('is_authorised', fields.BooleanField(default=False, db_default=False)),
                ('effective_on', fields.DateField(null=True, description='Effective')),
                ('withdraw_until', fields.DateField(null=True, description='Can be withdrawn until')),
                ('created_by_id', fields.IntField(null=True)),
                ('created_by', fields.CharField(default='', db_default='', max_length=120)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('changed_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('submitted_by_id', fields.IntField(null=True)),
                ('submitted_by', fields.CharField(default='', db_default='', max_length=120)),
                ('submitted_at', fields.DatetimeField(null=True, description='Submitted', auto_now=False, auto_now_add=False)),
                ('vendor', fields.CharEnumField(default=VendorState.NOT_TOLD, description='Vendor', db_default='not_told', enum_type=VendorState, max_length=10)),
                ('vendor_how', fields.CharField(default='', db_default='', max_length=10)),
                ('vendor_to', fields.CharField(default='', db_default='', max_length=254)),
                ('vendor_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('vendor_error', fields.CharField(default='', db_default='', max_length=300)),
                ('message_id', fields.BigIntField(null=True)),
                ('decided_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('decided_by', fields.CharField(default='', db_default='', max_length=120)),
                ('decided_because', fields.CharField(default='', db_default='', max_length=300)),
                ('applied_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('attachment_id', fields.IntField(null=True)),
            ],
            options={'table': 'customer_order', 'app': 'models', 'indexes': [Index(fields=['partner_id', 'state']), Index(fields=['customer_id', 'kind']), Index(fields=['prospect_id', 'state']), Index(fields=['vendor', 'changed_at']), Index(fields=['state', 'effective_on'])], 'pk_attr': 'id', 'table_description': 'An order, a change order or a cancellation'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RfiLink',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('customer', fields.ForeignKeyField('models.Customer', source_field='customer_id', db_constraint=True, to_field='id', related_name='rfi_links', on_delete=OnDelete.CASCADE)),
                ('token_hash', fields.CharField(unique=True, max_length=64)),
                ('recipient', fields.CharField(default='', db_default='', max_length=254)),
                ('is_reminder', fields.BooleanField(default=False, db_default=False)),
                ('message_id', fields.BigIntField(null=True)),
                ('made_by_id', fields.IntField(null=True)),
                ('made_by', fields.CharField(default='', db_default='', max_length=120)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('expires_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('revoked_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('opened_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('last_opened_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'rfi_link', 'app': 'models', 'indexes': [Index(fields=['customer_id', 'created_at']), Index(fields=['expires_at'])], 'pk_attr': 'id', 'table_description': 'A link to the RFI form of a customer'},
            bases=['Model'],
        ),
        ops.AlterField(
            model_name='Attachment',
            name='kind',
            field=fields.CharEnumField(default=AttachmentKind.OTHER, description='ORDER: order\nADDENDUM: addendum\nRFI_COPY: rfi_copy\nCANCELLATION: cancel\nOTHER: other', enum_type=AttachmentKind, max_length=10),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='assignee',
            field=fields.ForeignKeyField('models.PortalUser', source_field='assignee_id', null=True, db_constraint=True, to_field='id', related_name='steps', on_delete=OnDelete.SET_NULL),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='check_key',
            field=fields.CharField(default='', db_default='', max_length=30),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='checked_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='done_by',
            field=fields.CharField(default='', db_default='', max_length=120),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='done_by_id',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='due_days',
            field=fields.SmallIntField(null=True),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='evidence',
            field=fields.JSONField(default=list, db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='help_url',
            field=fields.CharField(default='', db_default='', max_length=300),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='needs',
            field=fields.JSONField(default=list, db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='ConnectStep',
            name='is_later',
            field=fields.BooleanField(default=False, db_default=False),
        ),
        ops.AddIndex(
            model_name='ConnectStep',
            index=Index(fields=['state', 'due_at']),
        ),
        ops.AddIndex(
            model_name='ConnectStep',
            index=Index(fields=['assignee_id']),
        ),
        ops.AddField(
            model_name='Customer',
            name='closed_at',
            field=fields.DatetimeField(null=True, description='Closed on', auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Customer',
            name='closed_because',
            field=fields.CharField(default='', description='Reason', db_default='', max_length=300),
        ),
        ops.AddField(
            model_name='Customer',
            name='closing',
            field=fields.CharEnumField(default=Closing.NONE, description='Closed', db_default='', enum_type=Closing, max_length=10),
        ),
        ops.AddField(
            model_name='Customer',
            name='code_is_provisional',
            field=fields.BooleanField(default=False, db_default=False),
        ),
        ops.AddField(
            model_name='Customer',
            name='connect_due',
            field=fields.DatetimeField(null=True, description='Due', auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Customer',
            name='connect_owner',
            field=fields.CharField(default='', description='Owner of the step', db_default='', max_length=10),
        ),
        ops.AddField(
            model_name='Customer',
            name='connect_person_id',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Customer',
            name='contract_start',
            field=fields.DateField(null=True, description='Contract since'),
        ),
        ops.AddField(
            model_name='Customer',
            name='held_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Customer',
            name='hold_because',
            field=fields.CharField(default='', description='On hold because', db_default='', max_length=200),
        ),
        ops.AddField(
            model_name='Customer',
            name='hold_until',
            field=fields.DateField(null=True, description='On hold until'),
        ),
        ops.AddField(
            model_name='Customer',
            name='responsible',
            field=fields.ForeignKeyField('models.PortalUser', source_field='responsible_id', null=True, db_constraint=True, to_field='id', related_name='looks_after', on_delete=OnDelete.SET_NULL),
        ),
        ops.AddField(
            model_name='Customer',
            name='steps_done',
            field=fields.SmallIntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name='Customer',
            name='steps_of',
            field=fields.SmallIntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name='Customer',
            name='template_id',
            field=fields.IntField(null=True),
        ),
        ops.AddIndex(
            model_name='Customer',
            index=Index(fields=['partner_id', 'listing', 'connect_owner']),
        ),
        ops.AddIndex(
            model_name='Customer',
            index=Index(fields=['partner_id', 'domain']),
        ),
        ops.AddField(
            model_name='Message',
            name='attachment_id',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Message',
            name='customer_id',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Partner',
            name='sales_limit',
            field=fields.DecimalField(null=True, description='Most that Sales may submit themselves, per month', max_digits=15, decimal_places=3),
        ),
        ops.AddField(
            model_name='Partner',
            name='agreement',
            field=fields.CharField(default='Master Service Provider Agreement', description='Agreement', db_default='Master Service Provider Agreement', max_length=200),
        ),
        ops.AddField(
            model_name='Partner',
            name='completion',
            field=fields.CharEnumField(default=CompletionRule.CONFIRMED, description='Completing Connect', db_default='confirmed', enum_type=CompletionRule, max_length=10),
        ),
        ops.AddField(
            model_name='Partner',
            name='mx_hosts',
            field=fields.JSONField(default=list, description='MX records lead to', db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='order_desk',
            field=fields.CharField(default='', description='Vendor’s order desk', db_default='', max_length=254),
        ),
        ops.AddField(
            model_name='Partner',
            name='rfi_link_days',
            field=fields.SmallIntField(default=60, description='RFI links are good for', db_default=60),
        ),
        ops.AddField(
            model_name='Partner',
            name='rfi_reminder_days',
            field=fields.JSONField(default=reminder_days, description='RFI reminders', db_default='[3, 7, 14]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Partner',
            name='spf_include',
            field=fields.CharField(default='', description='SPF includes', db_default='', max_length=253),
        ),
        ops.AddField(
            model_name='Partner',
            name='upgrades_when_complete',
            field=fields.BooleanField(default=False, description='Upgrades of complete customers only', db_default=False),
        ),
        ops.AddField(
            model_name='Partner',
            name='withdraw_days',
            field=fields.SmallIntField(default=1, description='Days to withdraw before it is effective', db_default=1),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='digest_on',
            field=fields.DateField(null=True),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='wants_digest',
            field=fields.BooleanField(default=False, description='Daily digest', db_default=False),
        ),
        ops.AddField(
            model_name='PortalUser',
            name='wants_reminders',
            field=fields.BooleanField(default=False, description='Reminders of overdue steps', db_default=False),
        ),
        ops.AlterField(
            model_name='Message',
            name='state',
            field=fields.CharEnumField(default=MessageState.WAITING, description='WAITING: waiting\nSENT: sent\nFAILED: failed\nSTOPPED: stopped', enum_type=MessageState, max_length=10),
        ),
        ops.AlterField(
            model_name='Price',
            name='unit_price',
            field=fields.DecimalField(description='Price a seat', max_digits=12, decimal_places=3),
        ),
        ops.AddField(
            model_name='Price',
            name='one_time_fee',
            field=fields.DecimalField(default=Decimal('0'), description='One-time fee', db_default=0, max_digits=12, decimal_places=3),
        ),
        ops.AddField(
            model_name='Price',
            name='term',
            field=fields.CharEnumField(default=BillingTerm.MONTH, description='Billed', db_default='month', enum_type=BillingTerm, max_length=5),
        ),
        ops.AlterField(
            model_name='Product',
            name='code',
            field=fields.CharField(description='Product', max_length=20),
        ),
        ops.AddField(
            model_name='Product',
            name='partner',
            field=fields.ForeignKeyField('models.Partner', source_field='partner_id', null=True, db_constraint=True, to_field='id', related_name='own_products', on_delete=OnDelete.CASCADE),
        ),
        ops.AddConstraint(
            model_name='Product',
            constraint=UniqueConstraint(fields=('partner_id', 'code'), name=None),
        ),
        ops.AddField(
            model_name='Rfi',
            name='edits',
            field=fields.JSONField(default=dict, db_default='{}', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Rfi',
            name='opened_at',
            field=fields.DatetimeField(null=True, description='Opened', auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Rfi',
            name='remind_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Rfi',
            name='reminders',
            field=fields.SmallIntField(default=0, description='Reminders', db_default=0),
        ),
        ops.AddField(
            model_name='Rfi',
            name='reopened_because',
            field=fields.CharField(default='', db_default='', max_length=200),
        ),
        ops.AddField(
            model_name='Rfi',
            name='returned_by',
            field=fields.CharField(default='', db_default='', max_length=254),
        ),
        ops.AddField(
            model_name='Rfi',
            name='sent_to',
            field=fields.CharField(default='', description='Sent to', db_default='', max_length=254),
        ),
        ops.AddField(
            model_name='Rfi',
            name='version',
            field=fields.IntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name='Rfi',
            name='warnings',
            field=fields.JSONField(default=list, db_default='[]', encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddIndex(
            model_name='Rfi',
            index=Index(fields=['remind_at']),
        ),
        ops.RunPython(filled),
    ]
