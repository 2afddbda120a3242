"""Who may do what: one table, asked by pages, routes and verbs alike (domain.md 4.3)."""

from typing import TYPE_CHECKING

from models.user import PortalRole

if TYPE_CHECKING:
    from models.user import PortalUser

_A, _I, _T, _S, _F = (
    PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION, PortalRole.TECHNICIAN, PortalRole.SALES, PortalRole.FINANCE,
)  # fmt: skip
RIGHTS: dict[str, frozenset[PortalRole]] = {
    'customer.change': frozenset({_A, _I}),
    'contact.change': frozenset({_A, _I}),
    'infrastructure.change': frozenset({_A, _I, _T}),
    'note.add': frozenset({_A, _I, _T, _S, _F}),
    'note.edit_own': frozenset({_A, _I, _T, _S, _F}),
    'note.edit_any': frozenset({_A}),
    'attachment.add': frozenset({_A, _I, _T, _S, _F}),
    'attachment.delete_original': frozenset({_A}),
    'price.see': frozenset({_A, _S, _F}),
    'history.export': frozenset({_A, _I}),
    'history.erase': frozenset({_A}),
}


class Refused(PermissionError):
    """The person's role in the portal does not include this."""


def may(user: 'PortalUser', action: str) -> bool:
    return user.role in RIGHTS[action]


def require(user: 'PortalUser', action: str) -> None:
    """Raise `Refused` where the user's role does not include the action; called by the verb itself."""
    if not may(user, action):
        raise Refused(f'Your role in the portal ({user.role.value.replace("_", " ")}) does not include this.')
