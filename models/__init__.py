from models.access import ConsoleRole, CustomerAccess, DelegatedAccess
from models.api_token import ApiToken
from models.attachment import Attachment, AttachmentKind, AttachmentState
from models.connect_step import ConnectStep, StepOwner, StepState
from models.contact import Contact, ContactKind
from models.customer import AccountType, Customer, Listing
from models.history import HistoryChain, HistoryEvent, HistoryText
from models.infrastructure import Directory, Infrastructure, MailPlatform
from models.monitor import Flip, Health, Monitor, MonitorKind, MonitorState, Reading
from models.note import Note, NoteVersion
from models.partner import Partner
from models.price import Price
from models.product import CustomerProduct, Product, ProductKind
from models.rfi import Rfi, RfiIcon, RfiState
from models.sample import Sample
from models.session import Session, SessionKind
from models.user import PortalRole, PortalUser

__all__ = [
    'AccountType', 'ApiToken', 'Attachment', 'AttachmentKind', 'AttachmentState', 'ConnectStep', 'ConsoleRole',
    'Contact', 'ContactKind', 'Customer', 'CustomerAccess', 'CustomerProduct', 'DelegatedAccess', 'Directory', 'Flip',
    'Health', 'HistoryChain', 'HistoryEvent', 'HistoryText', 'Infrastructure', 'Listing', 'MailPlatform', 'Monitor',
    'MonitorKind', 'MonitorState', 'Note', 'NoteVersion', 'Partner', 'PortalRole', 'PortalUser', 'Price', 'Product',
    'ProductKind', 'Reading', 'Rfi', 'RfiIcon', 'RfiState', 'Sample', 'Session', 'SessionKind', 'StepOwner',
    'StepState',
]  # fmt: skip
