"""The Administration Consoles of customers: where they are, and how the portal signs somebody on to one."""

import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from tortoise import Model, fields
from tortoise.exceptions import IntegrityError

from models import events, rights
from models.checking import Impossible, Invalid, line
from models.events import transaction
from models.history import Entry, HistoryEvent, append_many
from models.partner import Partner
from models.text import printable

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

LIFETIME = 60  # seconds for which an assertion is good
MOST = 100  # consoles of one MSP
# The console that comes with the demo, which the portal itself serves.
DEMO_NAME, DEMO_ADDRESS, DEMO_AUDIENCE = 'Demo console', '/demo-console', 'urn:msp-portal:demo-console'


class SignOnKind(StrEnum):
    """Who proves to the console who comes."""

    VENDOR = 'vendor'  # the vendor's own address with the vendor's own sign-on (domain.md 2.9, `adconUrl`)
    ASSERTION = 'assertion'  # the portal, by a signed assertion that is posted to the console

    @property
    def title(self) -> str:
        return 'The vendor’s own sign-on' if self == SignOnKind.VENDOR else 'Signed assertion'


class SignOn(NamedTuple):
    """Where somebody is to be sent; `assertion` is posted there, or empty."""

    address: str
    assertion: str = ''


class AdminConsole(Model):
    """A connection to consoles of one kind. A customer without one has the vendor's own (`Customer.console_url`)."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='consoles', on_delete=fields.CASCADE
    )
    partner_id: int
    name = fields.CharField(max_length=80)
    sign_on = fields.CharEnumField(SignOnKind, max_length=10, default=SignOnKind.VENDOR)
    # Where assertions are posted to, and `aud` of them.
    address = fields.CharField(max_length=300, default='', db_default='')
    audience = fields.CharField(max_length=300, default='', db_default='')

    class Meta:
        table = 'admin_console'
        table_description = 'How to sign on to the consoles of customers'
        unique_together = (('partner_id', 'name'),)

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    async def list_of(cls, partner_id: int) -> list[dict[str, Any]]:
        """The connections of an MSP with how many customers use each."""
        from models.customer import Customer

        found = await cls.filter(partner_id=partner_id).order_by('name', 'id')
        return [
            {
                'id': each.id, 'name': each.name, 'sign_on': each.sign_on.value, 'sign_on_title': each.sign_on.title,
                'address': each.address, 'audience': each.audience,
                'customers': await Customer.filter(console_id=each.id).count(),
            }
            for each in found
        ]  # fmt: skip

    @classmethod
    def check(cls, facts: dict[str, Any]) -> dict[str, Any]:
        """The facts of a connection as they are stored; raises `Invalid`."""
        name = line('name', facts.get('name'), 80)
        if not name:
            raise Invalid('name', 'is empty')
        try:
            sign_on = SignOnKind(str(facts.get('sign_on', '')))
        except ValueError:
            raise Invalid('sign_on', f'must be one of {", ".join(kind.title for kind in SignOnKind)}') from None
        if sign_on == SignOnKind.VENDOR:  # each customer has an address of its own
            return {'name': name, 'sign_on': sign_on, 'address': '', 'audience': ''}
        address = line('address', facts.get('address'), 300)
        if not (is_console_url(address) or address == DEMO_ADDRESS):
            raise Invalid('address', 'must be a whole address that begins with https://')
        audience = line('audience', facts.get('audience'), 300)
        if not audience or ' ' in audience:
            raise Invalid('audience', 'is empty' if not audience else 'has a space in it')
        return {'name': name, 'sign_on': sign_on, 'address': address, 'audience': audience}

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    async def add(cls, facts: dict[str, Any], *, by: 'PortalUser') -> 'AdminConsole':
        """Add a connection; raises `Refused` and `Invalid`."""
        rights.require(by, 'settings.change')
        clean = cls.check(facts)
        if await cls.filter(partner_id=by.partner_id).count() >= MOST:
            raise Impossible(f'There are {MOST} consoles already.')
        try:
            async with transaction():
                console = await cls.create(partner_id=by.partner_id, **clean)
                await HistoryEvent.add(
                    by.partner_id, 'console.added', f'The console {console.name} was added ({console.sign_on.title})',
                    by=by, facts=_told(clean),
                )  # fmt: skip
                events.PARTNER_CHANGED.emit(by.partner_id)
        except IntegrityError:
            raise Invalid('name', 'is another console’s') from None
        return console

    async def change(self, facts: dict[str, Any], *, by: 'PortalUser') -> None:
        """Change the connection; raises `Refused`, `Invalid`, `DoesNotExist`."""
        rights.require(by, 'settings.change')
        clean = self.check(facts)
        try:
            async with transaction():
                fresh = await AdminConsole.get(id=self.id, partner_id=by.partner_id)
                before = {name: getattr(fresh, name) for name in clean}
                if before == clean:
                    return
                fresh.update_from_dict(clean)
                await fresh.save(update_fields=list(clean))
                await HistoryEvent.add(
                    by.partner_id, 'console.changed', f'The console {fresh.name} was changed', by=by,
                    before=_told(before), after=_told(clean),
                )  # fmt: skip
                await self._tell()
        except IntegrityError:
            raise Invalid('name', 'is another console’s') from None
        self.update_from_dict(clean)

    async def remove(self, *, by: 'PortalUser') -> None:
        """Remove the connection; its customers have the vendor's own console again."""
        from models.customer import Customer

        rights.require(by, 'settings.change')
        async with transaction():
            fresh = await AdminConsole.get(id=self.id, partner_id=by.partner_id)
            used = await Customer.filter(console_id=fresh.id).count()
            await self._tell()
            await Customer.filter(console_id=fresh.id).update(console_id=None)
            await fresh.delete()
            await HistoryEvent.add(
                by.partner_id, 'console.removed', f'The console {fresh.name} was removed; {used:,} customers used it',
                by=by,
            )  # fmt: skip

    async def _tell(self) -> None:
        """Whoever looks at a list with its customers asks again: the button may lead elsewhere, or nowhere."""
        from models.customer import Customer

        if await Customer.filter(console_id=self.id).exists():
            events.MANY_CHANGED.emit(self.partner_id)
        events.PARTNER_CHANGED.emit(self.partner_id)

    @classmethod
    async def choose(cls, customer: 'Customer', console_id: int | None, *, by: 'PortalUser') -> None:
        """Say which console the customer has; None is the vendor's own. Raises `Refused` and `DoesNotExist`."""
        from models.customer import Customer

        rights.require(by, 'customer.change')
        async with transaction():
            console = await cls.get(id=console_id, partner_id=by.partner_id) if console_id is not None else None
            fresh = await Customer.filter(id=customer.id, partner_id=by.partner_id).select_for_update().get()
            if fresh.console_id == console_id:
                return
            await Customer.filter(id=fresh.id).update(console_id=console_id)
            await HistoryEvent.add(
                by.partner_id, 'console.chosen', f'Console: {console.name if console else "the vendor’s own"}',
                customer_id=fresh.id, by=by,
            )  # fmt: skip
            events.CUSTOMER_TOUCHED.emit(by.partner_id, {fresh.id: frozenset({'access'})})
        customer.console_id = console_id

    @classmethod
    async def sign_on_to(cls, customer: 'Customer', *, by: 'PortalUser', issuer: str) -> SignOn:
        """Sign somebody on to the console of a customer, whom they were found to see; `issuer` is the portal's address.

        Raises `Refused`, and `Impossible` where they do not hold Partner Administrator there now, where the customer is
        closed, the console has no address or the portal no key. Each sign-on is in the history of the customer and of
        the MSP.
        """
        from models.access import DelegatedAccess, is_partner

        rights.require(by, 'console.open')
        if customer.listing == 'closed':
            raise Impossible(f'{customer.name} is closed: its console is not opened from here any more.')
        async with transaction() as connection:
            held = await DelegatedAccess.roles_of(by, [customer.id], connection=connection)
            if not is_partner(role := held.get(customer.id)):
                raise Impossible(
                    f'Your role in the console of {customer.name} is {role or "None"}; signing on needs Partner '
                    'Administrator. It may have been revoked or have ended a moment ago.'
                )
            console = await cls.get_or_none(id=customer.console_id) if customer.console_id else None
            jti = ''
            if console is not None and console.sign_on == SignOnKind.ASSERTION:
                jti = secrets.token_urlsafe(24)
                sign_on = await console._assertion(customer, by, issuer, jti)
            else:
                sign_on = SignOn(customer.console_url)
            if not (is_console_url(sign_on.address) or sign_on.address == DEMO_ADDRESS):
                raise Impossible(f'The address of the console of {customer.name} is not known.')
            at, facts = datetime.now(UTC), {'console': console.name if console else '', 'jti': jti}
            said = f'Signed on to the Administration Console{f" ({console.name})" if console else ""}'
            whole = f'{by.email} signed on to the Administration Console of {customer.name} ({customer.account_code})'
            await append_many(
                connection,
                [
                    Entry(by.partner_id, customer.id, 'console.signed_on', at, said, by.id, by.name, facts),
                    Entry(by.partner_id, None, 'console.signed_on', at, whole, by.id, by.name,
                          facts | {'customer': customer.id}),
                ],
            )  # fmt: skip
            events.CUSTOMER_TOUCHED.emit(by.partner_id, {customer.id: frozenset({'history'})})
        return sign_on

    async def _assertion(self, customer: 'Customer', by: 'PortalUser', issuer: str, jti: str) -> SignOn:
        from models.access import ConsoleRole
        from models.signing_key import SigningKey

        now = int(time.time())
        partner = await Partner.get(id=by.partner_id)
        claims = {
            'iss': issuer, 'aud': self.audience, 'sub': by.email, 'name': by.name,
            'role': ConsoleRole.PARTNER_ADMINISTRATOR.value, 'account': customer.account_code,
            'account_name': customer.name, 'msp': partner.slug, 'iat': now, 'nbf': now, 'exp': now + LIFETIME,
            'jti': jti,
        }  # fmt: skip
        return SignOn(self.address, (await SigningKey.current()).sign(claims))


def is_console_url(address: str) -> bool:
    """Whether a browser can be sent there: https and a host, and nothing that reads otherwise elsewhere."""
    if not address.startswith('https://') or address != printable(address) or any(c in address for c in ' "\'<>\\;,'):
        return False
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and not parts.username and not parts.password and (parts.port or 1) > 0
    except ValueError:
        return False


def _told(facts: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items()}
