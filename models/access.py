"""Who sees which customers, and who holds which role in a customer's Administration Console: two different things."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from tortoise import Model, fields
from tortoise.expressions import Q, RawSQL

from models.partner import Partner
from models.user import PortalUser

if TYPE_CHECKING:
    from models.customer import Customer


class CustomerAccess(Model):
    """An exception to `PortalUser.sees_all`: this one too, or this one not."""

    id = fields.IntField(primary_key=True)
    user: fields.ForeignKeyRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='sight', on_delete=fields.CASCADE
    )
    user_id: int
    customer: fields.ForeignKeyRelation['Customer'] = fields.ForeignKeyField(
        'models.Customer', related_name='sight', on_delete=fields.CASCADE
    )
    customer_id: int
    allowed = fields.BooleanField()

    class Meta:
        table = 'customer_access'
        table_description = 'An exception to what a user may see'
        unique_together = (('user_id', 'customer_id'),)


class ConsoleRole(StrEnum):
    """The roles that every console has (domain.md 1.11); a customer may have others by any name."""

    PARTNER_ADMINISTRATOR = 'Partner Administrator'
    FULL_ADMINISTRATOR = 'Full Administrator'
    BASIC_ADMINISTRATOR = 'Basic Administrator'
    DISCOVERY_OFFICER = 'Discovery Officer'
    REVIEWER = 'Reviewer'


class DelegatedAccess(Model):
    """A user's role in a customer's Administration Console; `customer` empty: on every customer of the partner."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='delegated_access', on_delete=fields.CASCADE
    )
    partner_id: int
    user: fields.ForeignKeyRelation[PortalUser] = fields.ForeignKeyField(
        'models.PortalUser', related_name='delegated_access', on_delete=fields.CASCADE
    )
    user_id: int
    customer: 'fields.ForeignKeyNullableRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='delegated_access', null=True, on_delete=fields.CASCADE
    )
    customer_id: int | None
    role = fields.CharField(max_length=80, description='Role')
    source = fields.CharField(max_length=20, default='portal', db_default='portal')
    granted_at = fields.DatetimeField(auto_now_add=True)
    granted_by_id = fields.IntField(null=True)
    reason = fields.CharField(max_length=200, default='', db_default='')
    expires_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'delegated_access'
        table_description = 'A role in an Administration Console'
        indexes = (('user_id', 'customer_id'),)

    @classmethod
    async def roles_of(cls, user: PortalUser, customer_ids: list[int]) -> dict[int, str]:
        """The user's role at each of these customers; a customer where there is none is left out.

        A role at one customer goes before a role everywhere.
        """
        from models.database import rows

        now = datetime.now(UTC)
        held = await rows(
            cls.filter(user_id=user.id, partner_id=user.partner_id, revoked_at__isnull=True)
            .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
            .filter(Q(customer_id__isnull=True) | Q(customer_id__in=customer_ids))
            .order_by('id')
            .values('customer_id', 'role')
        )
        everywhere = next((row['role'] for row in reversed(held) if row['customer_id'] is None), None)
        roles = {customer_id: str(everywhere) for customer_id in customer_ids} if everywhere else {}
        return roles | {row['customer_id']: row['role'] for row in held if row['customer_id'] is not None}

    @staticmethod
    def role_order(user: PortalUser) -> RawSQL:
        """What sorting customers by this user's role goes by: the role's name, none last (A–Z)."""
        held = (
            'SELECT LOWER(d."role") FROM "delegated_access" d WHERE d."user_id"={user} AND d."revoked_at" IS NULL '
            'AND (d."expires_at" IS NULL OR d."expires_at">CURRENT_TIMESTAMP) AND d."customer_id"{which} '
            'ORDER BY d."id" DESC LIMIT 1'
        )
        here = held.format(user=int(user.id), which='="customer"."id"')
        everywhere = held.format(user=int(user.id), which=' IS NULL')
        return RawSQL(f"COALESCE(({here}),({everywhere}),'~')")

    @classmethod
    def console_order(cls, user: PortalUser) -> RawSQL:
        """What sorting by the Admin Console button goes by: where it is on, first."""
        role = cls.role_order(user).sql
        return RawSQL(f"CASE WHEN {role}='{ConsoleRole.PARTNER_ADMINISTRATOR.lower()}' THEN 0 ELSE 1 END")
