"""Who somebody is that an OIDC provider vouches for: a person who was invited or is registered, never a new one."""

from datetime import UTC, datetime

from models import events
from models.events import transaction
from models.history import HistoryEvent
from models.one_time_link import LinkKind, OneTimeLink
from models.user import PortalUser, UserState

LONGEST_SUBJECT = 255
LONGEST_EMAIL = 254


def is_subject(text: str) -> bool:
    """Whether a provider may call somebody this."""
    return 0 < len(text) <= LONGEST_SUBJECT and text.isprintable()


class Unmatched(ValueError):
    """Nobody may sign in by this; the sentence says why. `user` is whose account it is about, where there is one."""

    def __init__(self, sentence: str, why: str, user: PortalUser | None = None) -> None:
        super().__init__(sentence)
        self.why = why  # as the audit says it
        self.user = user


_UNKNOWN = 'There is no account for you in this portal. Ask an administrator of your MSP to invite you.'


async def person_of(issuer: str, subject: str, email: str, *, is_verified: bool) -> PortalUser:
    """The active person with this identity; the first time by the e-mail address that the provider has verified, and
    from then on by issuer and subject. Somebody who was invited is registered by it. Raises `Unmatched`."""
    known = await PortalUser.get_or_none(oidc_issuer=issuer, oidc_subject=subject)
    if known is not None:
        _check_active(known)
        return known
    email = email.strip().lower()
    is_one = 0 < len(email) <= LONGEST_EMAIL and email.isprintable()
    found = await PortalUser.get_or_none(email=email) if is_one else None
    if not is_verified:
        raise Unmatched(
            'Your provider has not verified your e-mail address, so it does not say who you are. Verify it there, or '
            'sign in with your password.', 'the provider had not verified the e-mail address', _to_name(found),
        )  # fmt: skip
    if found is None:
        raise Unmatched(_UNKNOWN, 'nobody has the e-mail address that the provider told')
    _check_active(found)
    if found.oidc_subject and found.oidc_issuer == issuer:
        raise Unmatched(
            'This e-mail address belongs to another account at your provider. Ask an administrator of your MSP.',
            'another account of the provider has this e-mail address now', found,
        )  # fmt: skip
    return await _link(found, issuer, subject)


def _to_name(user: PortalUser | None) -> PortalUser | None:
    return user if user is not None and user.can_sign_in else None


def _check_active(user: PortalUser) -> None:
    if not user.can_sign_in:  # the generic administration account is nobody
        raise Unmatched(_UNKNOWN, 'nobody signs in with the generic administration account', user)
    if not user.is_active:
        raise Unmatched('Your account is disabled. Ask an administrator of your MSP.', 'the account is disabled', user)


async def _link(user: PortalUser, issuer: str, subject: str) -> PortalUser:
    now = datetime.now(UTC)
    async with transaction():
        # The person first, as whoever disables them does.
        fresh = await PortalUser.filter(id=user.id).select_for_update(no_key=True).get()
        _check_active(fresh)
        if fresh.state == UserState.INVITED:
            invitations = OneTimeLink.filter(
                user_id=fresh.id,
                kind=LinkKind.INVITE,
                used_at__isnull=True,
                revoked_at__isnull=True,
                expires_at__gt=now,
            )
            if not await invitations.update(used_at=now):
                raise Unmatched(
                    'Your invitation has expired or was withdrawn. Ask an administrator of your MSP for another one.',
                    'the invitation has expired or was withdrawn', fresh,
                )  # fmt: skip
            kind, what = 'user.registered', 'took up the invitation with single sign-on'
        else:
            kind, what = 'user.oidc_linked', 'signs in with single sign-on from now on'
        fresh.oidc_issuer, fresh.oidc_subject = issuer, subject
        fresh.registered_at = fresh.registered_at or now
        await fresh.save(update_fields=['oidc_issuer', 'oidc_subject', 'registered_at'])
        await HistoryEvent.add(fresh.partner_id, kind, f'{fresh.email} {what}', by=fresh, issuer=issuer)
        events.USERS_CHANGED.emit(fresh.partner_id)
    return fresh
