from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import checking, events, rights
from models.events import transaction
from models.history import HistoryEvent

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


class ContactKind(StrEnum):
    MAIN = 'main'
    TECHNICAL = 'technical'
    EMERGENCY = 'emergency'
    BILLING = 'billing'

    @property
    def title(self) -> str:
        # It is the technical one that the RFI form asks for.
        named = 'Emergency (technical)' if self == ContactKind.EMERGENCY else self.value.capitalize()
        return f'{named} contact'


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

    Invalid = checking.Invalid
    FACTS = ('first_name', 'last_name', 'email', 'phone', 'mobile')

    @property
    def name(self) -> str:
        return f'{self.first_name} {self.last_name}'.strip()

    @classmethod
    async def list_of(cls, customer_id: int) -> list[dict[str, Any]]:
        """The contacts that there are, in the order of their kinds: the facts, `kind`, `title`, `name`, and the numbers
        with their spaces (`phone_shown`, `mobile_shown`)."""
        from models.database import rows

        found = {row['kind']: row for row in await rows(cls.filter(customer_id=customer_id).values('kind', *cls.FACTS))}
        return [
            {
                **found[kind.value],
                'title': kind.title,
                'name': f'{found[kind.value]["first_name"]} {found[kind.value]["last_name"]}'.strip(),
                'phone_shown': checking.phone_shown(found[kind.value]['phone']),
                'mobile_shown': checking.phone_shown(found[kind.value]['mobile']),
            }
            for kind in ContactKind
            if kind.value in found
        ]

    @classmethod
    def check(cls, facts: Mapping[str, Any]) -> dict[str, str]:
        """The facts as they would be stored; raises `Contact.Invalid` with all that cannot be."""
        return checking.each(facts, _check)

    @classmethod
    async def change(
        cls, customer: 'Customer', kind: ContactKind | str, facts: Mapping[str, Any], *,
        was: Mapping[str, Any] | None, by: 'PortalUser',
    ) -> set[str]:  # fmt: skip
        """Change the customer's contact of this kind, which need not be there yet; return the names of what differs.

        A contact of whom nothing is left is gone. `was` is what the editor saw. Raises `Contact.Invalid`, `Refused`,
        or `ChangedMeanwhile` where somebody else was quicker; then nothing is stored.
        """
        rights.require(by, 'contact.change')
        kind = ContactKind(checking.one_of('kind', kind, ContactKind))
        return await cls.keep(customer, kind, cls.check(facts), was=was, by=by)

    @classmethod
    async def keep(
        cls, customer: 'Customer', kind: ContactKind, clean: Mapping[str, Any], *,
        was: Mapping[str, Any] | None = None, by: 'PortalUser | None' = None, outsider: str = '', source: str = '',
    ) -> set[str]:  # fmt: skip
        """Store checked facts for a verb that has asked who may (the RFI form, say); the history names the `source`,
        and the `outsider` who did it."""
        from models.customer import Customer

        async with transaction():
            # Whoever else changes this customer waits; a contact that is not there yet cannot be locked.
            await Customer.filter(id=customer.id).select_for_update().get()
            contact = await cls.get_or_none(customer_id=customer.id, kind=kind)
            contact = contact or cls(customer_id=customer.id, kind=kind)
            before = checking.differing({field: getattr(contact, field) for field in clean}, clean, was)
            if not before:
                return set()
            after = {field: clean[field] for field in before}
            contact.update_from_dict(after)
            if any(getattr(contact, field) for field in cls.FACTS):
                await contact.save()
            else:
                await contact.delete()
            said = checking.in_words(_HEADINGS, before, after)
            said = f'{source}: {kind.title} – {said}' if source else f'{kind.title} – {said}'
            await HistoryEvent.add(
                customer.partner_id, 'contact.changed', said, customer_id=customer.id, by=by, outsider=outsider,
                contact=kind.value, before=checking.as_data(before), after=checking.as_data(after),
            )  # fmt: skip
            events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'contacts'})})
        return set(before)


_HEADINGS = {field: str(Contact._meta.fields_map[field].description) for field in Contact.FACTS}


def _check(field: str, value: object) -> str:
    if field in ('first_name', 'last_name'):
        return checking.line(field, value, 80)
    if field == 'email':
        return checking.email(field, value)
    if field in ('phone', 'mobile'):
        return checking.phone(field, value)
    raise checking.Invalid(str(field)[:40], 'is not a fact about a contact')
