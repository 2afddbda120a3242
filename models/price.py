from tortoise import Model, fields

from models.partner import Partner
from models.product import Product


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
    unit_price = fields.DecimalField(max_digits=12, decimal_places=2, description='Price a seat and month')
    currency = fields.CharField(max_length=3, default='EUR', db_default='EUR')

    class Meta:
        table = 'price'
        table_description = 'A line of an MSP’s price list'
        unique_together = (('partner_id', 'product_id'),)
