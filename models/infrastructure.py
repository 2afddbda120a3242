from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.customer import Customer


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
