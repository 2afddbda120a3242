from models.access import ConsoleRole, CustomerAccess, DelegatedAccess
from models.admin_console import AdminConsole, SignOnKind
from models.api_token import ApiToken
from models.attachment import Attachment, AttachmentKind, AttachmentState
from models.backup_run import BackupRun
from models.connect_step import ConnectStep, StepOwner, StepState
from models.connect_template import ConnectTemplate
from models.contact import Contact, ContactKind
from models.customer import AccountType, Closing, Customer, Listing
from models.history import HistoryChain, HistoryEvent, HistoryText
from models.infrastructure import Directory, Infrastructure, MailPlatform
from models.message import Message, MessageState
from models.monitor import Flip, Health, Monitor, MonitorKind, MonitorState, Reading
from models.note import Note, NoteVersion
from models.one_time_link import LinkKind, OneTimeLink
from models.order import ChangeMode, Order, OrderKind, OrderState, VendorState
from models.partner import CompletionRule, MailSecurity, Partner, TwoFactorRule
from models.price import BillingTerm, Price
from models.product import CustomerProduct, Product, ProductKind
from models.prospect import CompanyType, Prospect, ProspectState, Sector
from models.recovery_code import RecoveryCode
from models.rfi import Rfi, RfiIcon, RfiState
from models.rfi_link import RfiLink
from models.sample import Sample
from models.session import Session, SessionKind
from models.sight import Sight
from models.signing_key import SigningKey
from models.tag import CustomerTag, UserTag
from models.user import PortalRole, PortalUser, UserState

__all__ = [
    'AccountType', 'AdminConsole', 'ApiToken', 'Attachment', 'AttachmentKind', 'AttachmentState', 'BackupRun',
    'BillingTerm', 'ChangeMode', 'Closing', 'CompanyType', 'CompletionRule', 'ConnectStep', 'ConnectTemplate',
    'ConsoleRole', 'Contact', 'ContactKind', 'Customer', 'CustomerAccess', 'CustomerProduct', 'CustomerTag',
    'DelegatedAccess', 'Directory', 'Flip', 'Health', 'HistoryChain', 'HistoryEvent', 'HistoryText',
    'Infrastructure', 'LinkKind', 'Listing', 'MailPlatform', 'MailSecurity', 'Message', 'MessageState', 'Monitor',
    'MonitorKind', 'MonitorState', 'Note', 'NoteVersion', 'OneTimeLink', 'Order', 'OrderKind', 'OrderState',
    'Partner', 'PortalRole', 'PortalUser', 'Price', 'Product', 'ProductKind', 'Prospect', 'ProspectState',
    'Reading', 'RecoveryCode', 'Rfi', 'RfiIcon', 'RfiLink', 'RfiState', 'Sample', 'Sector', 'Session',
    'SessionKind', 'Sight', 'SignOnKind', 'SigningKey', 'StepOwner', 'StepState', 'TwoFactorRule', 'UserState',
    'UserTag', 'VendorState',
]  # fmt: skip
