"""Tags on customers, and the tags by which somebody sees customers: whoever has one of them sees all that carry it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import checking, events, rights
from models.checking import Invalid
from models.events import Changed, transaction
from models.history import HistoryEvent
from models.text import fold, printable
from models.user import PortalUser

if TYPE_CHECKING:
    from models.customer import Customer

LONGEST = 40
MOST = 10


def tags(field: str, value: object) -> list[str]:
    """Tags of a list, or of a text with commas or lines between them, as they are stored: folded, each once, A–Z."""
    parts = re.split(r'[\n,;]+', value) if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise Invalid(field, 'must be a list')
    found = set()
    for part in parts[:1000]:
        tag = printable(fold(part)) if isinstance(part, str) else None
        if tag is None:
            raise Invalid(field, 'must be a list of words')
        if len(tag) > LONGEST:
            raise Invalid(field, f'{checking.quoted(tag)} is longer than {LONGEST} characters')
        if tag:
            found.add(tag)
    if len(found) > MOST:
        raise Invalid(field, f'cannot have more than {MOST} entries')
    return sorted(found)


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

    @classmethod
    async def of(cls, customer_id: int) -> list[str]:
        from models.database import rows

        return [row['tag'] for row in await rows(cls.filter(customer_id=customer_id).order_by('tag').values('tag'))]

    @classmethod
    async def known_to(cls, user: PortalUser) -> list[str]:
        """Every tag of the customers that this person sees, A–Z."""
        from tortoise.expressions import Subquery

        from models.customer import Customer
        from models.database import rows

        seen = Subquery(Customer.visible_to(user).values('id'))
        found = await rows(cls.filter(customer_id__in=seen).group_by('tag').order_by('tag').values('tag'))
        return [row['tag'] for row in found]

    @classmethod
    async def change(cls, customer: 'Customer', wished: object, *, by: PortalUser, was: object = None) -> bool:
        """Set the tags of a customer; False where they are the same. Who sees customers by these tags is told.

        `was` is what the editor saw. Raises `Refused`, `Invalid`, `ChangedMeanwhile`.
        """
        from models.customer import Customer

        rights.require(by, 'customer.change')
        clean = tags('tags', wished)
        async with transaction():
            await Customer.filter(id=customer.id).select_for_update(no_key=True).get()
            stored = [each.tag for each in await cls.filter(customer_id=customer.id).order_by('tag')]
            seen = None if was is None else {'tags': tags('tags', was)}
            if not checking.differing({'tags': stored}, {'tags': clean}, seen):
                return False
            gone, new = set(stored) - set(clean), set(clean) - set(stored)
            await cls.filter(customer_id=customer.id, tag__in=sorted(gone)).delete()
            await cls.bulk_create([cls(customer_id=customer.id, tag=tag) for tag in sorted(new)])
            await HistoryEvent.add(
                customer.partner_id, 'customer.changed',
                checking.in_words({'tags': 'Tags'}, {'tags': stored}, {'tags': clean}),
                customer_id=customer.id, by=by, before={'tags': stored}, after={'tags': clean},
            )  # fmt: skip
            events.CUSTOMERS_CHANGED.emit(Changed(customer.partner_id, {customer.id: frozenset({'tags'})}))
            await UserTag.tell_holders(customer.partner_id, gone | new)
        return True

    @classmethod
    async def change_with_facts(
        cls, customer: 'Customer', facts: Mapping[str, Any], *, was: Mapping[str, Any], by: PortalUser
    ) -> set[str]:
        """`Customer.change`, where `tags` may be among the facts: all of it or nothing."""
        checking.each(
            facts, lambda name, value: tags(name, value) if name == 'tags' else customer.check(**{name: value})
        )
        async with transaction():
            tagged = 'tags' in facts and await cls.change(customer, facts['tags'], was=was.get('tags'), by=by)
            rest = {name: value for name, value in facts.items() if name != 'tags'}
            changed = await customer.change(was=was, by=by, **rest) if rest else set()
        return changed | ({'tags'} if tagged else set())


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

    @classmethod
    async def tell_holders(cls, partner_id: int, changed: set[str]) -> None:
        """Customers carry these tags now, or do not any more: who sees customers by them is told."""
        if not changed:
            return
        holders = cls.filter(tag__in=sorted(changed), user__partner_id=partner_id, user__sees_all=False)
        for user_id in sorted(set(await holders.values_list('user_id', flat=True))):  # type: ignore[type-var]
            events.SIGHT_CHANGED.emit(user_id)  # type: ignore[arg-type]
