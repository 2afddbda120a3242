"""Tags on customers, and the tags by which somebody sees customers: whoever has one of them sees all that carry it."""

from typing import TYPE_CHECKING

from tortoise import Model, fields

from models.user import PortalUser

if TYPE_CHECKING:
    from models.customer import Customer

LONGEST = 40


class CustomerTag(Model):
    id = fields.IntField(primary_key=True)
    customer: fields.ForeignKeyRelation['Customer'] = fields.ForeignKeyField(
        'models.Customer', related_name='tags', on_delete=fields.CASCADE
    )
    customer_id: int
    tag = fields.CharField(max_length=LONGEST)

    class Meta:
        table = 'customer_tag'
        table_description = 'A word that groups customers'
        unique_together = (('tag', 'customer_id'),)


class UserTag(Model):
    """Counts where `PortalUser.sees_all` is off."""

    id = fields.IntField(primary_key=True)
    user: fields.ForeignKeyRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='sight_tags', on_delete=fields.CASCADE
    )
    user_id: int
    tag = fields.CharField(max_length=LONGEST)

    class Meta:
        table = 'user_tag'
        table_description = 'A tag by which a user sees customers'
        unique_together = (('user_id', 'tag'),)
