from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from tortoise import Model, fields

from models import checking, events, rights
from models.events import transaction
from models.history import HistoryEvent

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


class MailPlatform(StrEnum):
    """Where a customer's mail lives (domain.md 5.2 D)."""

    UNKNOWN = ''
    MICROSOFT_365 = 'microsoft_365'
    ON_PREMISES = 'on_premises'
    GOOGLE_WORKSPACE = 'google_workspace'
    HYBRID_M365 = 'hybrid_m365'
    HYBRID_GOOGLE = 'hybrid_google'
    HOSTED_EXCHANGE = 'hosted_exchange'
    OTHER = 'other'

    @property
    def title(self) -> str:
        return _PLATFORMS[self]


class Directory(StrEnum):
    """Where a customer's people are kept (domain.md 5.2 D)."""

    UNKNOWN = ''
    NONE = 'none'
    ACTIVE_DIRECTORY = 'active_directory_ldap'
    ENTRA_ID = 'entra_id'
    GOOGLE = 'google'
    DOMINO = 'domino'
    AD_PUSH = 'ad_push'

    @property
    def title(self) -> str:
        return _DIRECTORIES[self]


_PLATFORMS = {
    MailPlatform.UNKNOWN: 'Not known yet',
    MailPlatform.MICROSOFT_365: 'Microsoft 365',
    MailPlatform.ON_PREMISES: 'On-premises',
    MailPlatform.GOOGLE_WORKSPACE: 'Google Workspace',
    MailPlatform.HYBRID_M365: 'Hybrid with Microsoft 365',
    MailPlatform.HYBRID_GOOGLE: 'Hybrid with Google Workspace',
    MailPlatform.HOSTED_EXCHANGE: 'Hosted Exchange',
    MailPlatform.OTHER: 'Other',
}
_DIRECTORIES = {
    Directory.UNKNOWN: 'Not known yet',
    Directory.NONE: 'None',
    Directory.ACTIVE_DIRECTORY: 'Active Directory (LDAP)',
    Directory.ENTRA_ID: 'Microsoft Entra ID',
    Directory.GOOGLE: 'Google Directory',
    Directory.DOMINO: 'Domino',
    Directory.AD_PUSH: 'Active Directory, pushed',
}


class Infrastructure(Model):
    """What a customer's mail runs on; a customer without a row is one of whom nothing is known yet."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.OneToOneRelation[Customer]' = fields.OneToOneField(
        'models.Customer', related_name='infrastructure', on_delete=fields.CASCADE
    )
    customer_id: int
    domains: Any = fields.JSONField(default=list, db_default='[]', description='Domains')
    mail_platform = fields.CharEnumField(
        MailPlatform, max_length=20, default=MailPlatform.UNKNOWN, db_default='', description='Mail platform'
    )
    mail_server = fields.CharField(max_length=120, default='', db_default='', description='Mail server')
    server_os = fields.CharField(max_length=120, default='', db_default='', description='Server OS')
    directory = fields.CharEnumField(
        Directory, max_length=24, default=Directory.UNKNOWN, db_default='', description='Active Directory environment'
    )
    outbound_ips: Any = fields.JSONField(default=list, db_default='[]', description='Outbound IP addresses')
    inbound_ips: Any = fields.JSONField(default=list, db_default='[]', description='Inbound IP addresses')

    class Meta:
        table = 'infrastructure'
        table_description = 'What a customer’s mail runs on'

    Invalid = checking.Invalid
    FACTS = ('domains', 'mail_platform', 'mail_server', 'server_os', 'directory', 'outbound_ips', 'inbound_ips')

    @classmethod
    async def of(cls, customer_id: int) -> dict[str, Any]:
        """The facts, with `mail_platform_title` and `directory_title`; of a customer without a row, that nothing is
        known."""
        from models.database import rows

        found = await rows(cls.filter(customer_id=customer_id).values(*cls.FACTS))
        nothing = {name: '[]' if name in _LISTS else '' for name in cls.FACTS}
        facts: dict[str, Any] = found[0] if found else nothing
        for name in _LISTS:
            facts[name] = orjson.loads(facts[name]) if isinstance(facts[name], str) else facts[name]
        platform, directory = MailPlatform(facts['mail_platform']), Directory(facts['directory'])
        return {
            **facts, 'mail_platform': platform.value, 'mail_platform_title': platform.title,
            'directory': directory.value, 'directory_title': directory.title,
        }  # fmt: skip

    @classmethod
    def check(cls, facts: Mapping[str, Any], *, documentation: bool = False) -> dict[str, Any]:
        """The facts as they would be stored; raises `Infrastructure.Invalid` with all that cannot be.

        `documentation` is for simulated customers (`models.checking.network`).
        """
        return checking.each(facts, lambda field, value: _check(field, value, documentation))

    @classmethod
    async def change(
        cls, customer: 'Customer', facts: Mapping[str, Any], *, was: Mapping[str, Any] | None, by: 'PortalUser'
    ) -> set[str]:
        """Change what is known of the customer's infrastructure; return the names of what differs.

        `was` is what the editor saw. Raises `Infrastructure.Invalid`, `Refused`, or `ChangedMeanwhile` where somebody
        else was quicker; then nothing is stored.
        """
        from models.connect_fitting import refit

        rights.require(by, 'infrastructure.change')
        clean = cls.check(facts, documentation=customer.is_simulated)
        async with transaction():
            changed = await cls.keep(customer, clean, was=was, by=by)
            if changed & {'mail_platform', 'directory'}:
                await refit(customer.id, by=by)
        return changed

    @classmethod
    async def keep(
        cls, customer: 'Customer', clean: Mapping[str, Any], *, was: Mapping[str, Any] | None = None,
        by: 'PortalUser | None' = None, outsider: str = '', source: str = '',
    ) -> set[str]:  # fmt: skip
        """Store checked facts for a verb that has asked who may (the RFI form, say); the history names the `source`,
        and the `outsider` who did it."""
        from models.customer import Customer

        # The form keeps the values of its choices.
        clean = {field: _CHOICES[field](value) if field in _CHOICES else value for field, value in clean.items()}

        async with transaction():
            # Whoever else changes this customer waits; a row that is not there yet cannot be locked.
            await Customer.filter(id=customer.id).select_for_update().get()
            known = await cls.get_or_none(customer_id=customer.id) or cls(customer_id=customer.id)
            before = checking.differing({field: getattr(known, field) for field in clean}, clean, was)
            if not before:
                return set()
            after = {field: clean[field] for field in before}
            known.update_from_dict(after)
            await known.save()
            said = checking.in_words(_HEADINGS, before, after)
            await HistoryEvent.add(
                customer.partner_id, 'infrastructure.changed', f'{source}: {said}' if source else said,
                customer_id=customer.id, by=by, outsider=outsider, before=checking.as_data(before),
                after=checking.as_data(after),
            )  # fmt: skip
            events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'infrastructure'})})
        return set(before)


_CHOICES = {'mail_platform': MailPlatform, 'directory': Directory}
_LISTS = ('domains', 'outbound_ips', 'inbound_ips')
_HEADINGS = {field: str(Infrastructure._meta.fields_map[field].description) for field in Infrastructure.FACTS}


def _check(field: str, value: object, documentation: bool) -> Any:
    if field == 'domains':
        return checking.domains(field, value)
    if field in _LISTS:
        return checking.networks(field, value, documentation=documentation)
    if field == 'mail_platform':
        return checking.one_of(field, value, MailPlatform)
    if field == 'directory':
        return checking.one_of(field, value, Directory)
    if field in ('mail_server', 'server_os'):
        return checking.line(field, value, 120)
    raise checking.Invalid(str(field)[:40], 'is not a fact about infrastructure')
