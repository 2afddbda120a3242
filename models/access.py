"""Who sees which customers, and who holds which role in a customer's Administration Console: two different things.

Partner Administrator is granted and revoked in the portal, by an administrator who holds it at the customer; where no
administrator does, by the MSP's generic administration account on somebody's behalf. Other roles come from the vendor.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import DoesNotExist
from tortoise.expressions import Q, RawSQL, Subquery
from tortoise.queryset import QuerySet

from models import events, rights
from models.checking import Impossible, Invalid, line
from models.events import transaction
from models.history import Entry, append_many
from models.partner import Partner
from models.user import PortalRole, PortalUser

if TYPE_CHECKING:
    from models.customer import Customer

MOST = 1000  # customers in one act: one transaction
LONGEST = timedelta(days=3660)
_NAMED = 10  # customers that a sentence names


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


class Outcome(NamedTuple):
    """What came of granting or revoking: at how many customers something changed, and what there is to know."""

    changed: int
    sentence: str


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
    async def roles_of(
        cls, user: PortalUser, customer_ids: list[int], *, connection: BaseDBAsyncClient | None = None
    ) -> dict[int, str]:
        """The user's role at each of these customers; a customer where there is none is left out.

        A role at one customer goes before a role everywhere.
        """
        from models.database import reader

        return (await cls._roles(connection or reader(), [user.id], customer_ids)).get(user.id, {})

    @classmethod
    def active(cls, **filters: Any) -> 'QuerySet[Self]':
        """What counts now: neither revoked nor expired."""
        now = datetime.now(UTC)
        return cls.filter(revoked_at__isnull=True, **filters).filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))

    @classmethod
    async def _roles(
        cls, connection: BaseDBAsyncClient, user_ids: Sequence[int], customer_ids: Sequence[int]
    ) -> dict[int, dict[int, str]]:
        """By user and customer; see `roles_of`."""
        from models.database import rows_within

        if not user_ids or not customer_ids:
            return {}
        theirs = cls.active(user_id__in=list(user_ids)).order_by('id')
        roles: dict[int, dict[int, str]] = {}
        # Two questions, not one with OR: of somebody with a role at thousands, only these customers are read.
        for row in await rows_within(connection, theirs.filter(customer_id__isnull=True).values('user_id', 'role')):
            roles[row['user_id']] = dict.fromkeys(customer_ids, str(row['role']))
        at_these = theirs.filter(customer_id__in=list(customer_ids))
        for row in await rows_within(connection, at_these.values('user_id', 'customer_id', 'role')):
            roles.setdefault(row['user_id'], {})[row['customer_id']] = row['role']
        return roles

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

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    async def granters(
        cls, partner_id: int, customer_ids: Sequence[int], *, connection: BaseDBAsyncClient | None = None
    ) -> dict[int, list[str]]:
        """Who can grant Partner Administrator at each of these customers: the names of the administrators who can sign
        in and hold it there. A customer where nobody can is left out; so few questions for any number of customers."""
        from models.database import reader, rows_within

        connection = connection or reader()
        administrators = PortalUser.filter(
            partner_id=partner_id, can_sign_in=True, disabled_at__isnull=True, role=PortalRole.ADMINISTRATOR
        ).order_by('name_key', 'id')
        names = {row['id']: row['name'] for row in await rows_within(connection, administrators.values('id', 'name'))}
        roles = await cls._roles(connection, list(names), customer_ids)
        found: dict[int, list[str]] = {}
        for user_id, name in names.items():
            for customer_id, role in roles.get(user_id, {}).items():
                if is_partner(role):
                    found.setdefault(customer_id, []).append(name)
        return found

    @classmethod
    async def generic_of(cls, partner_id: int) -> PortalUser | None:
        """The MSP's generic administration account: it holds Partner Administrator everywhere and cannot sign in."""
        held = cls.active(partner_id=partner_id, customer_id__isnull=True, role=ConsoleRole.PARTNER_ADMINISTRATOR)
        ids = await held.values_list('user_id', flat=True)
        return await PortalUser.filter(partner_id=partner_id, can_sign_in=False, id__in=list(ids)).first()

    @classmethod
    async def holders(cls, customer: 'Customer') -> list[dict[str, Any]]:
        """Everybody with a role in this customer's console, Partner Administrators first, then by name."""
        held = await cls.active(partner_id=customer.partner_id).filter(
            Q(customer_id__isnull=True) | Q(customer_id=customer.id)
        )
        # What is held here goes before what is held everywhere, and what came later before what came earlier.
        held.sort(key=lambda row: (row.customer_id is not None, row.id))
        last = {row.user_id: row for row in held}
        asked = {*last, *(row.granted_by_id for row in last.values() if row.granted_by_id)}
        people = {user.id: user for user in await PortalUser.filter(id__in=list(asked))}
        found = []
        for row in last.values():
            user, by = people[row.user_id], people.get(row.granted_by_id or 0)
            found.append({
                'user': user.id, 'name': user.name, 'email': user.email, 'role': row.role,
                'portal_role': user.role.title, 'is_generic': not user.can_sign_in,
                'is_disabled': user.disabled_at is not None, 'may_grant': is_partner(row.role) and is_granter(user),
                'since': row.granted_at, 'until': row.expires_at, 'reason': row.reason, 'by': by.name if by else '',
                'is_everywhere': row.customer_id is None,
            })  # fmt: skip
        return sorted(found, key=lambda each: (not is_partner(each['role']), each['is_generic'], each['name'].lower()))

    @classmethod
    async def ends(cls, user: PortalUser, customer_ids: Sequence[int]) -> dict[int, datetime]:
        """When the user's role at these customers ends, where it does."""
        held = await cls.active(user_id=user.id, customer_id__in=list(customer_ids)).order_by('id')
        last = {row.customer_id: row.expires_at for row in held}
        return {customer_id: at for customer_id, at in last.items() if customer_id is not None and at is not None}

    @classmethod
    def customers_of(cls, user: PortalUser) -> Subquery:
        """At which customers this user was granted Partner Administrator, for a condition of a query."""
        held = cls.active(user_id=user.id, customer_id__isnull=False, role=ConsoleRole.PARTNER_ADMINISTRATOR)
        return Subquery(held.values('customer_id'))

    @classmethod
    async def may_begin(cls, user: PortalUser) -> bool:
        """Whether this administrator holds nothing in any console, and could take the role by the generic account."""
        from models.customer import Customer

        if not rights.may(user, 'access.grant_generic') or await cls.active(user_id=user.id).exists():
            return False
        return await Customer.visible_to(user).exists() and await cls.generic_of(user.partner_id) is not None

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    async def grant(
        cls, customers: 'Iterable[Customer | int]', to: PortalUser, *,
        role: str = ConsoleRole.PARTNER_ADMINISTRATOR, expires_at: datetime | None = None, by: PortalUser,
        as_generic: bool = False, reason: str = '',
    ) -> Outcome:  # fmt: skip
        """Grant Partner Administrator at these customers (up to `MOST`), at all of them or none.

        `as_generic`: by the generic administration account on behalf of `by`, with a reason, where no administrator
        holds it. A role that is held already gets the new end. Raises `Refused`, `Invalid`, `Impossible` and
        `DoesNotExist` (unknown, or not theirs to see).
        """
        rights.require(by, 'access.grant')
        if not is_partner(role):
            raise Impossible('The portal grants Partner Administrator only; other roles are given in the console.')
        now = datetime.now(UTC)
        if expires_at is not None:
            if expires_at.tzinfo is None or expires_at <= now:
                raise Invalid('expires_at', 'is not in the future')
            if expires_at > now + LONGEST:
                raise Invalid('expires_at', 'is more than ten years away')
        async with transaction() as connection:
            act = await cls._begin(connection, customers, to, by, as_generic, reason)
            whom = act.whom
            if not whom.is_active:
                raise Impossible(f'{whom.name} {"is disabled" if whom.can_sign_in else "cannot sign in"}.')
            held: dict[int, DelegatedAccess] = {}  # what counts, at these customers
            for row in await cls.active(user_id=whom.id, customer_id__in=list(act.names)).order_by('id'):
                held[row.customer_id or 0] = row
            changing = [
                customer_id for customer_id in act.names
                if (row := held.get(customer_id)) is None or not is_partner(row.role) or row.expires_at != expires_at
            ]  # fmt: skip
            replaced = [row for each in changing if (row := held.get(each)) is not None and is_partner(row.role)]
            if whom.id == by.id and replaced and not as_generic:
                raise Impossible('When your own role ends is for somebody else who holds it to change.')
            await cls.filter(id__in=[row.id for row in replaced]).update(revoked_at=now)
            await cls.bulk_create(
                [
                    cls(
                        partner_id=by.partner_id, user_id=whom.id, customer_id=customer_id, role=role,
                        source='generic_account' if act.generic else 'portal', expires_at=expires_at,
                        granted_by_id=(act.generic or by).id, reason=act.reason,
                    )
                    for customer_id in changing
                ],
                batch_size=500,
            )  # fmt: skip
            said = f'{role} was granted to {whom.name}' + (f' until {moment(expires_at)}' if expires_at else '')
            await act.write(connection, 'delegated_access.granted', said, changing, until=expires_at)
        return Outcome(len(changing), _granted(whom, by, len(changing), len(act.names)))

    @classmethod
    async def revoke(
        cls, customers: 'Iterable[Customer | int]', of: PortalUser, *, by: PortalUser, as_generic: bool = False,
        reason: str = '',
    ) -> Outcome:  # fmt: skip
        """Take Partner Administrator away at these customers, at all of them or none; where it is not held, nothing
        changes. Raises as `grant` does."""
        rights.require(by, 'access.grant')
        async with transaction() as connection:
            act = await cls._begin(connection, customers, of, by, as_generic, reason)
            whom = act.whom
            if not whom.can_sign_in:
                raise Impossible(
                    'The generic administration account holds Partner Administrator at every customer, and keeps it.'
                )
            held = await cls.active(
                user_id=whom.id, customer_id__in=list(act.names), role=ConsoleRole.PARTNER_ADMINISTRATOR
            ).order_by('id')
            with_it = {row.customer_id for row in held}
            changing = [customer_id for customer_id in act.names if customer_id in with_it]
            await cls.filter(id__in=[row.id for row in held]).update(revoked_at=datetime.now(UTC))
            still = (await cls._roles(connection, [whom.id], list(act.names))).get(whom.id, {})
            if any(map(is_partner, still.values())):
                raise Impossible(f'{whom.name} holds it at every customer at once; it cannot be revoked at some.')
            said = f'{ConsoleRole.PARTNER_ADMINISTRATOR} was revoked from {whom.name}'
            await act.write(connection, 'delegated_access.revoked', said, changing)
            left = await cls.granters(by.partner_id, changing, connection=connection)
            alone = [act.names[each] for each in changing if each not in left]
        return Outcome(len(changing), _revoked(whom, by, len(changing), alone))

    @classmethod
    async def take_everywhere(cls, *, by: PortalUser, reason: str) -> Outcome:
        """Take the role oneself by the generic account wherever no administrator holds it: how an MSP begins.

        In portions, each of which is whole. Raises as `grant` does.
        """
        from models.customer import Customer
        from models.database import rows

        rights.require(by, 'access.grant_generic')
        ids = [row['id'] for row in await rows(Customer.visible_to(by).order_by('id').values('id'))]
        taken = 0
        for start in range(0, len(ids), MOST):
            some = ids[start : start + MOST]
            held = await cls.granters(by.partner_id, some)
            if free := [each for each in some if each not in held]:
                taken += (await cls.grant(free, by, by=by, as_generic=True, reason=reason)).changed
        if not taken:
            return Outcome(0, 'At every customer an administrator holds it already; nothing changed.')
        others = len(ids) - taken
        said = f'You hold Partner Administrator at {_customers(taken)} now.'
        return Outcome(taken, said + (f' At {others:,} more an administrator held it already.' if others else ''))

    @classmethod
    async def expire(cls, *, limit: int = 500) -> int:
        """Write into the history which roles have come to their end, each once; return how many.

        They count no more from that moment on, whether or not this was called.
        """
        from models.database import rows

        due = cls.filter(revoked_at__isnull=True, expires_at__lte=datetime.now(UTC))
        found = await rows(due.order_by('id').limit(limit).values('id', 'partner_id'))
        if not found:
            return 0
        async with transaction() as connection:
            now = datetime.now(UTC)
            await _one_after_the_other(row['partner_id'] for row in found)
            # Asked again: somebody may have extended it, or another process have been quicker.
            over = await due.filter(id__in=[row['id'] for row in found]).order_by('id')
            await cls.filter(id__in=[row.id for row in over]).update(revoked_at=now)
            people = {user.id: user for user in await PortalUser.filter(id__in=list({row.user_id for row in over}))}
            entries: list[Entry] = []
            counts: dict[tuple[int, str], int] = {}
            touched: dict[int, set[int]] = {}
            for row in over:
                assert row.expires_at is not None
                counts[row.user_id, row.role] = counts.get((row.user_id, row.role), 0) + 1
                if row.customer_id is None:
                    continue
                touched.setdefault(row.partner_id, set()).add(row.customer_id)
                said = f'{row.role} of {people[row.user_id].name} ended: it was granted until {moment(row.expires_at)}'
                data = {'user': row.user_id, 'role': row.role}
                entries.append(Entry(row.partner_id, row.customer_id, LOST, now, said, data=data))
            for (user_id, role), count in counts.items():
                whom = people[user_id]
                said = f'{role} of {whom.name} ended at {_customers(count)}: it was granted for a time'
                entries.append(
                    Entry(whom.partner_id, None, LOST, now, said, data={'user': user_id, 'role': role})
                )  # fmt: skip
                events.ROLES_CHANGED.emit(user_id)
            await append_many(connection, entries)
            for partner_id, customer_ids in touched.items():
                events.CUSTOMER_TOUCHED.emit(partner_id, dict.fromkeys(customer_ids, _TOUCHED))
        return len(over)

    @classmethod
    async def _begin(
        cls, connection: BaseDBAsyncClient, customers: 'Iterable[Customer | int]', whom: PortalUser, by: PortalUser,
        as_generic: bool, reason: str,
    ) -> '_Act':  # fmt: skip
        """Who acts on whom at which customers, after everything was asked that both verbs ask."""
        from models.customer import Customer
        from models.database import rows_within

        ids = list(dict.fromkeys(each if isinstance(each, int) else each.id for each in customers))
        if not ids:
            raise Invalid('customers', 'is empty: choose at least one')
        if len(ids) > MOST:
            raise Invalid('customers', f'names more than {MOST:,}')
        reason = line('reason', reason, 200)
        await _one_after_the_other([by.partner_id])
        found = await rows_within(connection, Customer.visible_to(by).filter(id__in=ids).values('id', 'name'))
        names = {row['id']: row['name'] for row in found}
        fresh = await PortalUser.get_or_none(id=whom.id, partner_id=by.partner_id)
        if len(names) < len(ids) or fresh is None:
            raise DoesNotExist('There is no such customer or person.')
        names = {customer_id: names[customer_id] for customer_id in ids}
        if not as_generic:
            mine = (await cls._roles(connection, [by.id], ids)).get(by.id, {})
            if lacking := [name for each, name in names.items() if not is_partner(mine.get(each))]:
                raise Impossible(f'You do not hold Partner Administrator at {_listed(lacking)}. Nothing was changed.')
            return _Act(by, fresh, names, None, reason)
        rights.require(by, 'access.grant_generic')
        if not reason:
            raise Invalid('reason', 'is missing: say why the generic account acts')
        if held := await cls.granters(by.partner_id, ids, connection=connection):
            who = list(dict.fromkeys(name for each in held.values() for name in each))
            raise Impossible(
                'The generic account acts only where no administrator holds Partner Administrator. '
                f'{_listed(who, 3)} can grant it at {_listed([names[each] for each in held])}. Nothing was changed.'
            )
        generic = await cls.generic_of(by.partner_id)
        if generic is None:
            raise Impossible('This MSP has no generic administration account.')
        return _Act(by, fresh, names, generic, reason)


class _Act(NamedTuple):
    """Somebody grants or revokes: at which customers (id: name), and by which account if not by themselves."""

    by: PortalUser
    whom: PortalUser
    names: dict[int, str]
    generic: PortalUser | None
    reason: str

    async def write(
        self, connection: BaseDBAsyncClient, kind: str, said: str, changing: Sequence[int], **data: Any
    ) -> None:
        """Tell of it: in the history of each customer that changes, once in the MSP's own, and on open pages."""
        if not changing:
            return
        now, by = datetime.now(UTC), self.by
        how = f' by the generic administration account on behalf of {by.name}' if self.generic else ''
        how += f' – {self.reason}' if self.reason else ''
        facts = {
            'user': self.whom.id, 'role': ConsoleRole.PARTNER_ADMINISTRATOR.value,
            'granted_by': (self.generic or by).email, **data,
        }  # fmt: skip
        entries = [Entry(by.partner_id, each, kind, now, said + how, by.id, by.name, facts) for each in changing]
        where = f' at {_listed([self.names[each] for each in changing], 3)}'
        entries.append(
            Entry(by.partner_id, None, kind, now, said + where + how, by.id, by.name, facts | {'customers': changing})
        )
        await append_many(connection, entries)
        events.CUSTOMER_TOUCHED.emit(by.partner_id, dict.fromkeys(changing, _TOUCHED))
        events.ROLES_CHANGED.emit(self.whom.id)


LOST = 'delegated_access.lost'
_TOUCHED = frozenset({'history', 'access'})


async def _one_after_the_other(partner_ids: Iterable[int]) -> None:
    """Of those who change roles at these MSPs: what one of them was asked still holds when it is done."""
    theirs = Partner.filter(id__in=sorted(set(partner_ids))).order_by('id')
    await theirs.select_for_update(no_key=True)


def is_partner(role: str | None) -> bool:
    """Whether this role means that delegated access is enabled."""
    return role == ConsoleRole.PARTNER_ADMINISTRATOR


def is_granter(user: PortalUser) -> bool:
    """Whether this person could grant where they hold the role themselves."""
    return user.is_active and rights.may(user, 'access.grant')


def moment(at: datetime) -> str:
    """A moment as the history tells it."""
    at = at.astimezone(UTC)
    return f'{at.day} {at:%b %Y, %H:%M} UTC'


def _customers(count: int) -> str:
    return f'{count:,} customer{"" if count == 1 else "s"}'


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    """The names as a sentence has them: the first of them, where there are many."""
    shown = [name if len(name) <= 60 else f'{name[:59]}…' for name in names[:most]]
    if len(names) > most:
        return f'{", ".join(shown)} and {len(names) - most:,} more'
    return ' and '.join([', '.join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _granted(whom: PortalUser, by: PortalUser, changed: int, asked: int) -> str:
    who = 'You hold' if whom.id == by.id else f'{whom.name} holds'
    if not changed:
        return f'{who} it there already; nothing changed.'
    said = f'{who} Partner Administrator at {_customers(changed)} now.'
    if asked > changed:
        said += f' At {asked - changed:,} nothing had to change.'
    if not rights.may(whom, 'console.open'):
        said += f' But the role {whom.role.title} in the portal does not include opening consoles.'
    return said


def _revoked(whom: PortalUser, by: PortalUser, changed: int, alone: list[str]) -> str:
    who, holds = ('You', 'hold') if whom.id == by.id else (whom.name, 'holds')
    if not changed:
        return f'{who} {"do" if holds == "hold" else "does"} not hold it there; nothing changed.'
    said = f'{who} {holds} Partner Administrator no more at {_customers(changed)}.'
    if alone:
        said += f' At {_listed(alone, 3)} no administrator holds it now: only the generic account can grant it.'
    return said
