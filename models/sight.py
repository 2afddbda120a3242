"""Which customers somebody may know of: all of them, all but some, or only those that are named or tagged.

`Customer.visible_to` is the one door; here is what it goes by, and who may give how much of it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tortoise.functions import Count, Max

from models.access import CustomerAccess
from models.checking import Impossible, Invalid
from models.database import reader, rows
from models.tag import UserTag

if TYPE_CHECKING:
    from models.user import PortalUser

MOST = 2000  # customers by name; whoever wants more wants a tag


@dataclass(frozen=True)
class Sight:
    """All customers but `customers`; or, where `everything` is off, only those and whatever carries one of `tags`."""

    everything: bool = True
    customers: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        return self.everything and not self.customers

    @classmethod
    async def of(cls, user: 'PortalUser') -> 'Sight':
        exceptions = CustomerAccess.filter(user_id=user.id, allowed=not user.sees_all)
        customers = frozenset(row['customer_id'] for row in await exceptions.values('customer_id'))
        if user.sees_all:
            return cls(True, customers)
        tags = await UserTag.filter(user_id=user.id).values('tag')
        return cls(False, customers, frozenset(row['tag'] for row in tags))

    async def given_by(self, by: 'PortalUser', before: 'Sight | None' = None) -> 'Sight':
        """This sight as `by` may give it to somebody who has had `before`.

        Nobody gives more than they see themselves: `Impossible`; a customer that `by` does not know is none
        (`Invalid`). What the person had and `by` cannot see stays as it was.
        """
        from models.customer import Customer

        before = before or Sight(False)
        if len(self.customers) > MOST:
            raise Invalid('sight', f'names more than {MOST:,} customers; a tag does that better')
        asked = list(self.customers | before.customers)
        known = set(await Customer.visible_to(by).filter(id__in=asked).values_list('id', flat=True)) if asked else set()
        hidden = before.customers - known if self.everything == before.everything else frozenset()
        if self.customers - known - hidden:
            raise Invalid('sight', 'names a customer that there is not')
        own = await Sight.of(by)
        if not own.is_whole:
            if self.everything and not before.everything:
                raise Impossible(
                    'You do not see every customer yourself, so you cannot let somebody else see them all. '
                    'Name customers instead.'
                )
            if beyond := sorted(self.tags - before.tags - own.tags):
                raise Impossible(
                    f'You do not see every customer, and may see others by the tag “{beyond[0]}” than you do: '
                    'somebody who sees all of them has to give it.'
                )
        return Sight(self.everything, self.customers | hidden, frozenset() if self.everything else self.tags)

    @classmethod
    async def require_no_more(cls, who: 'PortalUser', by: 'PortalUser', what: str) -> None:
        """Raise `Impossible` where somebody sees more than `by`, who could get in as them by doing `what`."""
        if who.id == by.id or (await cls.of(by)).is_whole:
            return
        try:
            await (await cls.of(who)).given_by(by)
        except (Impossible, Invalid):
            raise Impossible(
                f'{who.name} sees customers that you do not: an administrator who sees them has to {what}.'
            ) from None

    async def give(self, user: 'PortalUser') -> None:
        """Store it as what this person sees. Belongs in a transaction."""
        await CustomerAccess.filter(user_id=user.id).delete()
        await UserTag.filter(user_id=user.id).delete()
        user.sees_all = self.everything
        await user.save(update_fields=['sees_all'])
        listed = [
            CustomerAccess(user_id=user.id, customer_id=customer_id, allowed=not self.everything)
            for customer_id in sorted(self.customers)
        ]
        await CustomerAccess.bulk_create(listed, batch_size=500)
        await UserTag.bulk_create([UserTag(user_id=user.id, tag=tag) for tag in sorted(self.tags)])

    def in_words(self) -> str:
        """All customers; All but 3 customers; 12 customers and what is tagged gold."""
        return in_words(self.everything, len(self.customers), sorted(self.tags))


def in_words(everything: bool, customers: int, tags: list[str]) -> str:
    counted = f'{customers:,} customer{"" if customers == 1 else "s"}'
    if everything:
        return f'All but {counted}' if customers else 'All customers'
    tagged = f'what is tagged {", ".join(tags)}' if tags else ''
    if customers and tagged:
        return f'{counted} and {tagged}'
    return counted if customers else tagged.capitalize() if tagged else 'No customers'


async def said(users: Iterable[tuple[int, bool]]) -> dict[int, str]:
    """What each of these people (id, whether they see all) sees, in words."""
    wanted = dict(users)
    if not wanted:
        return {}
    counts = await rows(
        CustomerAccess.filter(user_id__in=list(wanted)).annotate(n=Count('id')).group_by('user_id', 'allowed').values(
            'user_id', 'allowed', 'n'
        )
    )  # fmt: skip
    numbers = {(row['user_id'], bool(row['allowed'])): row['n'] for row in counts}
    tags: dict[int, list[str]] = {}
    for row in await rows(UserTag.filter(user_id__in=list(wanted)).order_by('tag').values('user_id', 'tag')):
        tags.setdefault(row['user_id'], []).append(row['tag'])
    return {
        user_id: in_words(everything, numbers.get((user_id, not everything), 0), tags.get(user_id, []))
        for user_id, everything in wanted.items()
    }


# -- what a person may do and see, as one word that changes with it ----------------------------------------------------


async def standings(user_ids: Iterable[int]) -> dict[int, str]:
    """Role and sight of each of these people as one short word: another word, and their open pages are out of date."""
    from models.user import PortalUser

    ids = list(user_ids)
    if not ids:
        return {}
    found = await rows(PortalUser.filter(id__in=ids).values('id', 'role', 'sees_all'))
    sights = await _sights(ids)
    return {row['id']: _word(row['role'], row['sees_all'], sights.get(row['id'])) for row in found}


async def standing_of(user: 'PortalUser') -> str:
    """The same of one person, with the role that was read with them."""
    return _word(user.role, user.sees_all, (await _sights([user.id])).get(user.id))


async def _sights(ids: list[int]) -> dict[int, list[Any]]:
    """Rows of sight are made and deleted, never changed: their number and the newest say whether they are the same."""
    found: dict[int, list[Any]] = {}
    for model in (CustomerAccess, UserTag):
        about = model.filter(user_id__in=ids).annotate(n=Count('id'), newest=Max('id')).group_by('user_id')
        for row in await about.using_db(reader()).values('user_id', 'n', 'newest'):
            found.setdefault(row['user_id'], []).append((model.__name__, row['n'], row['newest']))
    return found


def _word(role: object, sees_all: object, sight: list[Any] | None) -> str:
    said = f'{getattr(role, "value", role)} {bool(sees_all)} {sight or ""}'
    return hashlib.sha256(said.encode()).hexdigest()[:12]
