from enum import StrEnum
from typing import TYPE_CHECKING

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.customer import Customer


class ContactKind(StrEnum):
    MAIN = 'main'
    TECHNICAL = 'technical'
    EMERGENCY = 'emergency'
    BILLING = 'billing'

    @property
    def title(self) -> str:
        return f'{self.value.capitalize()} contact'


class Contact(Model):
    """Whom to call at a customer; one of each kind."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='contacts', on_delete=fields.CASCADE
    )
    customer_id: int
    kind = fields.CharEnumField(ContactKind, max_length=12)
    first_name = fields.CharField(max_length=80, default='', db_default='', description='First name')
    last_name = fields.CharField(max_length=80, default='', db_default='', description='Last name')
    email = fields.CharField(max_length=254, default='', db_default='', description='E-mail')
    phone = fields.CharField(max_length=40, default='', db_default='', description='Phone')
    mobile = fields.CharField(max_length=40, default='', db_default='', description='Mobile')

    class Meta:
        table = 'contact'
        table_description = 'Whom to call at a customer'
        unique_together = (('customer_id', 'kind'),)
