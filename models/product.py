from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.customer import Customer


class ProductKind(StrEnum):
    PRIMARY = 'primary'
    ADD_ON = 'addon'


class Product(Model):
    id = fields.IntField(primary_key=True)
    code = fields.CharField(max_length=20, unique=True, description='Product')
    name = fields.CharField(max_length=120, description='Name')
    kind = fields.CharEnumField(ProductKind, max_length=10)
    # Which Connect services it brings: S e-mail security, A archiving (domain.md 5.1).
    connect_services = fields.CharField(max_length=4, default='', db_default='')
    is_sample = fields.BooleanField(default=False, db_default=False)
    is_active = fields.BooleanField(default=True, db_default=True)
    data: Any = fields.JSONField(default=dict, db_default='{}')

    class Meta:
        table = 'product'
        table_description = 'Something that can be bought'

    def __str__(self) -> str:
        return self.code


# domain.md 5.3: a sample catalogue; codes are data, and an MSP edits them.
CATALOGUE = [
    ('SEC', 'Email Security', ProductKind.PRIMARY, 'S'),
    ('ARC', 'Archiving', ProductKind.PRIMARY, 'A'),
    ('SEC+ARC', 'Email Security and Archiving', ProductKind.PRIMARY, 'SA'),
    ('CONT', 'Continuity', ProductKind.PRIMARY, 'S'),
    ('UEM', 'Unified Email Management', ProductKind.PRIMARY, 'SA'),
    ('TTP-URL', 'URL protection', ProductKind.ADD_ON, ''),
    ('TTP-ATT', 'Attachment protection', ProductKind.ADD_ON, ''),
    ('IMP', 'Impersonation protection', ProductKind.ADD_ON, ''),
    ('IEP', 'Internal email protection', ProductKind.ADD_ON, ''),
    ('DLP', 'Data leak prevention', ProductKind.ADD_ON, ''),
    ('ENC', 'Email encryption', ProductKind.ADD_ON, ''),
    ('LFS', 'Large file send', ProductKind.ADD_ON, ''),
    ('DMARC', 'DMARC analysis', ProductKind.ADD_ON, ''),
    ('SAT', 'Security awareness training', ProductKind.ADD_ON, ''),
]


async def load_catalogue() -> dict[str, Product]:
    """Make the sample products that are missing; return all products by code."""
    known = {product.code: product for product in await Product.all()}
    missing = [
        Product(code=code, name=name, kind=kind, connect_services=services, is_sample=True)
        for code, name, kind, services in CATALOGUE
        if code not in known
    ]
    if missing:
        await Product.bulk_create(missing, ignore_conflicts=True)
        known = {product.code: product for product in await Product.all()}
    return known


class CustomerProduct(Model):
    id = fields.IntField(primary_key=True)
    customer: fields.ForeignKeyRelation['Customer'] = fields.ForeignKeyField(
        'models.Customer', related_name='products', on_delete=fields.CASCADE
    )
    customer_id: int
    product: fields.ForeignKeyRelation[Product] = fields.ForeignKeyField(
        'models.Product', related_name='bought_by', on_delete=fields.RESTRICT
    )
    product_id: int
    quantity = fields.IntField(default=0, db_default=0)
    since = fields.DateField(null=True)
    renews_on = fields.DateField(null=True)

    class Meta:
        table = 'customer_product'
        table_description = 'A product that a customer bought'
        unique_together = (('customer_id', 'product_id'),)
