from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.expressions import Q

from models.database import rows, rows_within, update_many
from models.partner import Partner

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

    from models.customer import Customer


class ProductKind(StrEnum):
    PRIMARY = 'primary'
    ADD_ON = 'addon'

    @property
    def title(self) -> str:
        return 'Primary product' if self == ProductKind.PRIMARY else 'Add-on'


class Product(Model):
    id = fields.IntField(primary_key=True)
    # Null: a sample that all MSPs share. An MSP's own goes before a sample of the same code.
    partner: 'fields.ForeignKeyNullableRelation[Partner]' = fields.ForeignKeyField(
        'models.Partner', related_name='own_products', null=True, on_delete=fields.CASCADE
    )
    partner_id: int | None
    code = fields.CharField(max_length=20, description='Product')
    name = fields.CharField(max_length=120, description='Name')
    kind = fields.CharEnumField(ProductKind, max_length=10)
    # Which Connect services it brings: S e-mail security, A archiving (domain.md 5.1).
    connect_services = fields.CharField(max_length=4, default='', db_default='')
    is_sample = fields.BooleanField(default=False, db_default=False)
    is_active = fields.BooleanField(default=True, db_default=True)
    # What goes with what: `requires` any of these codes, `excludes` these, `replaces` these; and its `capabilities`.
    data: Any = fields.JSONField(default=dict, db_default='{}')

    class Meta:
        table = 'product'
        table_description = 'Something that can be bought'
        unique_together = (('partner_id', 'code'),)

    def __str__(self) -> str:
        return self.code

    def codes(self, rule: str) -> list[str]:
        """What the product's data says (`requires` …); it can be edited by hand, and what is no list says nothing."""
        found = self.data.get(rule) if isinstance(self.data, dict) else None
        return [str(one) for one in found] if isinstance(found, list) else []


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

_GATEWAY = ['SEC', 'SEC+ARC', 'UEM']


def _rules(
    *capabilities: str,
    requires: list[str] | None = None,
    excludes: list[str] | None = None,
    replaces: list[str] | None = None,
) -> dict[str, list[str]]:
    return {
        'capabilities': list(capabilities), 'requires': requires or [], 'excludes': excludes or [],
        'replaces': replaces or [],
    }  # fmt: skip


# domain.md 5.3. Who has a bundle needs none of its parts; who has a part may take the bundle in its place.
RULES = {
    'SEC': _rules('gateway', excludes=['SEC+ARC', 'UEM']),
    'ARC': _rules('archive', 'journaling', excludes=['SEC+ARC', 'UEM']),
    'SEC+ARC': _rules('gateway', 'archive', 'journaling', excludes=['UEM'], replaces=['SEC', 'ARC']),
    'CONT': _rules('continuity', excludes=['UEM']),
    'UEM': _rules('gateway', 'archive', 'journaling', 'continuity', replaces=['SEC', 'ARC', 'SEC+ARC', 'CONT']),
    'TTP-URL': _rules('ttp_url', requires=_GATEWAY),
    'TTP-ATT': _rules('ttp_attachment', requires=_GATEWAY),
    'IMP': _rules('impersonation', requires=_GATEWAY),
    # It looks at what stays inside by way of the journal.
    'IEP': _rules('internal_protect', requires=['SEC+ARC', 'UEM']),
    'DLP': _rules('dlp', requires=_GATEWAY),
    'ENC': _rules('encryption', requires=_GATEWAY),
    'LFS': _rules('large_file_send', requires=_GATEWAY),
    'DMARC': _rules('dmarc'),
    'SAT': _rules('awareness'),
}


async def load_catalogue(partner_id: int | None = None) -> dict[str, Product]:
    """Make the sample products that are missing, and the rules of those that have none; return products by code.

    Those of this MSP: its own, and the samples of which it has no copy of its own; without one, the samples only.
    """
    found = await Product.filter(_shared_with(partner_id))
    samples = {product.code: product for product in found if product.partner_id is None}
    missing = [
        Product(code=code, name=name, kind=kind, connect_services=services, is_sample=True, data=RULES.get(code, {}))
        for code, name, kind, services in CATALOGUE
        if code not in samples
    ]
    if missing:
        await Product.bulk_create(missing, ignore_conflicts=True)
        found = await Product.filter(_shared_with(partner_id))
    for product in found:
        if product.is_sample and not product.data and product.code in RULES:  # from before there were rules
            product.data = RULES[product.code]
            await product.save(update_fields=['data'])
    return by_code(found)


def by_code(products: Iterable[Product]) -> dict[str, Product]:
    """The samples and the own products of one MSP, by code: its own goes before a sample of the same code."""
    return {product.code: product for product in sorted(products, key=lambda each: each.partner_id is not None)}


def _shared_with(partner_id: int | None) -> Q:
    return Q(partner_id__isnull=True) if partner_id is None else Q(partner_id__isnull=True) | Q(partner_id=partner_id)


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

    @classmethod
    async def list_of(cls, customer_id: int) -> list[dict[str, Any]]:
        """What the customer has, primary products first: code, name, kind (its title), quantity, since, renews_on."""
        found = await rows(
            cls.filter(customer_id=customer_id).values(
                'quantity', 'since', 'renews_on', code='product__code', name='product__name', kind='product__kind'
            )
        )
        found.sort(key=lambda row: (row['kind'] != ProductKind.PRIMARY, row['name']))
        return [
            {
                'code': row['code'], 'name': row['name'], 'kind': ProductKind(row['kind']).title,
                'quantity': row['quantity'], 'since': _iso(row['since']), 'renews_on': _iso(_coming(row['renews_on'])),
            }
            for row in found
        ]  # fmt: skip


async def follow_contracts(connection: 'BaseDBAsyncClient', begun: Mapping[int, date | None]) -> None:
    """What these customers (by id) have bought renews with their contract, which began on this day."""
    bought = CustomerProduct.filter(customer_id__in=sorted(begun)).values('id', 'customer_id', 'since')
    found = [row | {'start': begun[row['customer_id']]} for row in await rows_within(connection, bought)]
    await update_many(connection, CustomerProduct, ['renews_on'], [
        {'id': row['id'], 'renews_on': row['start'] and renewal(row['start'], as_day(row['since']) or row['start'])}
        for row in found
    ])  # fmt: skip


def as_day(value: date | str | None) -> date | None:
    """A day as SQLite or PostgreSQL give it."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def renewal(contract_start: date | None, bought_on: date) -> date | None:
    """When a product renews that is bought on this day: with its customer's contract, which is for twelve months."""
    return next_renewal(contract_start, bought_on) if contract_start else None


def next_renewal(since: date, today: date) -> date:
    """The first day after today that is whole years after `since`."""
    years = max(1, today.year - since.year)
    found = _years_after(since, years)
    return found if found > today else _years_after(since, years + 1)


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year + years, day=28)


def _coming(day: date | str | None) -> date | None:
    """A day of renewal, or its next return where it has passed."""
    found = as_day(day)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return found if found is None or found > yesterday else next_renewal(found, yesterday)


def _iso(day: date | str | None) -> str | None:
    return day.isoformat() if isinstance(day, date) else day
