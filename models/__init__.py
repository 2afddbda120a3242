from models.access import ConsoleRole, CustomerAccess, DelegatedAccess
from models.api_token import ApiToken
from models.connect_step import ConnectStep, StepOwner, StepState
from models.customer import AccountType, Customer, Listing
from models.history import HistoryEvent
from models.monitor import Flip, Health, Monitor, MonitorKind, MonitorState, Reading
from models.partner import Partner
from models.product import CustomerProduct, Product, ProductKind
from models.rfi import Rfi, RfiIcon, RfiState
from models.session import Session, SessionKind
from models.user import PortalRole, PortalUser

__all__ = [
    'AccountType', 'ApiToken', 'ConnectStep', 'ConsoleRole', 'Customer', 'CustomerAccess', 'CustomerProduct',
    'DelegatedAccess', 'Flip', 'Health', 'HistoryEvent', 'Listing', 'Monitor', 'MonitorKind', 'MonitorState', 'Partner',
    'PortalRole', 'PortalUser', 'Product', 'ProductKind', 'Reading', 'Rfi', 'RfiIcon', 'RfiState', 'Session',
    'SessionKind', 'StepOwner', 'StepState',
]  # fmt: skip
