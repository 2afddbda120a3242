"""Who may do what: one table, asked by pages, routes and verbs alike (domain.md 4.3), and shown as a help page.

A right says what somebody's role in the portal includes. Which customers they see is `Customer.visible_to`, and which
role they hold in a customer's console is `DelegatedAccess`; both are asked as well where they count.
"""

from typing import TYPE_CHECKING, NamedTuple

from models.user import PortalRole

if TYPE_CHECKING:
    from models.user import PortalUser


class Right(NamedTuple):
    """An action, in the words of the help page, and the roles that include it."""

    title: str
    roles: frozenset[PortalRole]
    note: str = ''


_LETTERS = {
    'A': PortalRole.ADMINISTRATOR, 'I': PortalRole.IMPLEMENTATION, 'T': PortalRole.TECHNICIAN, 'S': PortalRole.SALES,
    'F': PortalRole.FINANCE, 'R': PortalRole.READ_ONLY,
}  # fmt: skip


def _right(title: str, letters: str, note: str = '') -> Right:
    return Right(title, frozenset(_LETTERS[letter] for letter in letters), note)


# In the order and in the groups of the help page.
GROUPS: dict[str, dict[str, Right]] = {
    'Customers': {
        'customer.see': _right('See customers, their state and their history', 'AITSFR', 'Those they are given.'),
        'customer.create': _right('Add a customer', 'AI'),
        'customer.import': _right('Import customers from a file', 'AI'),
        'customer.change': _right('Change facts, tags and console of a customer', 'AI'),
        'contact.change': _right('Change contacts', 'AI'),
        'infrastructure.change': _right('Change infrastructure', 'AIT'),
        'note.add': _right('Write notes', 'AITSF'),
        'note.edit_own': _right('Edit one’s own notes', 'AITSF'),
        'note.edit_any': _right('Edit anybody’s notes', 'A'),
        'attachment.add': _right('Attach documents', 'AITSF'),
        'attachment.delete_original': _right('Delete the original of a document', 'A', 'Its safe PDF stays.'),
        'price.see': _right('See prices', 'ASF'),
        'list.export': _right('Export lists', 'AI'),
        'history.export': _right('Export the history of a customer', 'AI'),
        'history.erase': _right('Erase texts of the history on request', 'A', 'By a command on the server.'),
    },
    'Prospects and orders': {
        'prospect.see': _right(
            'See prospects', 'AITSFR', 'All of them, or their own where they see some customers only.'
        ),
        'prospect.change': _right('Create and edit prospects; prepare orders and change orders', 'AIS'),
        'order.submit': _right(
            'Submit, correct and withdraw orders, change orders and cancellations', 'AS',
            'What Sales submits, up to the limit that is set in Settings.',
        ),
        'order.see': _right('See the list of all orders', 'AIS', 'Of prospects and customers that they see.'),
        'order.record': _right(
            'Record that an order was passed on, accepted or rejected, and that data were handed over; '
            'type the account code', 'AI',
        ),
        'price.change': _right('Change the catalogue and the price list', 'AF'),
    },
    'RFI': {
        'rfi.fill': _right('Fill in and send back an RFI form', 'AIT'),
        'rfi.send': _right('Send, copy and revoke the link to an RFI form', 'AI'),
        'rfi.reopen': _right('Reopen an RFI form that is complete', 'AI', 'With a reason, which is recorded.'),
    },
    'Connect': {
        'step.advance': _right('Advance steps that the MSP owns', 'AIT'),
        'step.advance_for_vendor': _right(
            'Advance steps that the vendor owns, on the vendor’s behalf', 'AI', 'With a reason, which is recorded.'
        ),
        'step.check': _right('Run the automatic check of a step', 'AIT'),
        'step.assign': _right('Say who looks after a customer or a step', 'AI'),
        'connect.hold': _right('Put Connect on hold, and go on', 'AI', 'With a reason, which is recorded.'),
        'connect.complete': _right('Confirm that Connect is complete; reopen it', 'AI'),
        'connect.abandon': _right('Abandon Connect', 'A', 'With a reason, which is recorded.'),
        'template.change': _right('Change the templates of steps', 'A'),
    },
    'Admin Console': {
        'console.open': _right(
            'Open a customer’s Administration Console', 'AIT', 'Where they hold Partner Administrator.'
        ),
        'access.grant': _right(
            'Grant and revoke Partner Administrator', 'A', 'Where they hold it themselves.'
        ),
        'access.grant_generic': _right(
            'Grant it by the generic administration account', 'A', 'Where nobody holds it; with a reason.'
        ),
    },
    'The MSP': {
        'user.manage': _right(
            'Invite people, correct them, change their role and sight, disable them; end their sessions, '
            'reset how they sign in', 'A',
        ),
        'settings.change': _right('See and change the settings of the MSP and its consoles', 'A'),
        'token.manage': _right('Make and revoke API tokens', 'A'),
        'mail.see': _right('See the e-mail that was sent, waits or failed; try it again', 'AI'),
        'audit.see': _right('See and export the audit', 'AI'),
    },
    'One’s own account': {
        'account.change': _right(
            'Change one’s own name, password, two-factor, time zone and e-mail about Connect; end one’s own sessions',
            'AITSFR',
        ),
        'account.prefer': _right('Choose theme, columns and open cards', 'AITSFR'),
    },
}  # fmt: skip
RIGHTS: dict[str, Right] = {action: right for group in GROUPS.values() for action, right in group.items()}


# What a role is for, in a sentence: where one is chosen, and on the help page above the table.
ABOUT: dict[PortalRole, str] = {
    PortalRole.ADMINISTRATOR: 'Everything, people and settings too.',
    PortalRole.IMPLEMENTATION: 'Adds customers and prospects, takes them through Connect, and may export.',
    PortalRole.TECHNICIAN: 'Works on customers, their RFI forms and their steps.',
    PortalRole.SALES: 'For those who sell: prospects, orders and their prices. Of customers, notes and documents.',
    PortalRole.FINANCE: 'For those who bill: the catalogue and the price list. Of customers, notes and documents.',
    PortalRole.READ_ONLY: 'Sees customers without their prices, and changes nothing.',
}


class Refused(PermissionError):
    """The person's role in the portal does not include this."""


def may(user: 'PortalUser', action: str) -> bool:
    return user.role in RIGHTS[action].roles


def require(user: 'PortalUser', action: str) -> None:
    """Raise `Refused` where the user's role does not include the action; called by the verb itself."""
    if not may(user, action):
        raise Refused(f'Your role in the portal ({user.role.title}) does not include this.')
