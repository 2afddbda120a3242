"""The Administration Consoles of customers: where they are, and how the portal signs somebody on to one."""

from enum import StrEnum

from tortoise import Model, fields

from models.partner import Partner


class SignOnKind(StrEnum):
    """Who proves to the console who comes."""

    VENDOR = 'vendor'  # the vendor's own address with the vendor's own sign-on (domain.md 2.9, `adconUrl`)
    ASSERTION = 'assertion'  # the portal, by a signed assertion that is posted to the console


class AdminConsole(Model):
    """A connection to consoles of one kind. A customer without one has the vendor's own (`Customer.console_url`)."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='consoles', on_delete=fields.CASCADE
    )
    partner_id: int
    name = fields.CharField(max_length=80)
    sign_on = fields.CharEnumField(SignOnKind, max_length=10, default=SignOnKind.VENDOR)
    # Where assertions are posted to, and `aud` of them.
    address = fields.CharField(max_length=300, default='', db_default='')
    audience = fields.CharField(max_length=300, default='', db_default='')

    class Meta:
        table = 'admin_console'
        table_description = 'How to sign on to the consoles of customers'
        unique_together = (('partner_id', 'name'),)
