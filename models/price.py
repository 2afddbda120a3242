from decimal import Decimal
from enum import StrEnum

from tortoise import Model, fields

from models.partner import Partner
from models.product import Product


class BillingTerm(StrEnum):
    MONTH = 'month'
    YEAR = 'year'

    @property
    def title(self) -> str:
        return {'month': 'Monthly', 'year': 'Annually'}[self.value]


class Price(Model):
    """What an MSP pays for a product: a line of its price list."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='prices', on_delete=fields.CASCADE
    )
    partner_id: int
    product: fields.ForeignKeyRelation[Product] = fields.ForeignKeyField(
        'models.Product', related_name='prices', on_delete=fields.RESTRICT
    )
    product_id: int
    # For a seat and a month, or a year, as `term` says; `one_time_fee` once for each order line. With as many digits as
    # any currency has.
    unit_price = fields.DecimalField(max_digits=12, decimal_places=3, description='Price a seat')
    term = fields.CharEnumField(
        BillingTerm, max_length=5, default=BillingTerm.MONTH, db_default='month', description='Billed'
    )
    one_time_fee = fields.DecimalField(
        max_digits=12, decimal_places=3, default=Decimal(0), db_default=0, description='One-time fee'
    )
    currency = fields.CharField(max_length=3, default='EUR', db_default='EUR')

    class Meta:
        table = 'price'
        table_description = 'A line of an MSP’s price list'
        unique_together = (('partner_id', 'product_id'),)
