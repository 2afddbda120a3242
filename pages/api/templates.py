"""What the page of the Connect templates asks for and sends."""

from typing import Any

from fastapi import APIRouter

from models import ConnectTemplate, Partner
from models.checking import Invalid
from pages.acting import Acting, Asking, acts, reads
from pages.templates import state_of

router = APIRouter(prefix='/api/ui/templates', include_in_schema=False)


@reads(router, '', right='template.change')
async def templates_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(asking.user)


@reads(router, '/{key}/versions/{version}', right='template.change')
async def version(asking: Asking) -> dict[str, Any]:
    """One version of a template, with its steps."""
    found = await ConnectTemplate.get(
        partner_id=asking.user.partner_id, key=asking.path['key'][:30], version=asking.number('version')
    )
    return {'key': found.key, 'version': found.version, 'name': found.name, 'steps': found.steps}


@acts(router, 'POST', '/{key}', right='template.change')
async def edit(acting: Acting) -> dict[str, Any]:
    """Make a new version of this template; `was` is the number of the version that the editor saw."""
    was = acting.body.get('was')
    if not isinstance(was, int) or isinstance(was, bool):
        raise Invalid('was', 'is not a version')
    made = await ConnectTemplate.edit(
        await _own(acting), acting.path['key'], name=acting.text('name'), steps=acting.body.get('steps'), was=was,
        by=acting.user,
    )  # fmt: skip
    return {'key': made.key, 'version': made.version, 'now': await state_of(acting.user)}


@acts(router, 'POST', '/{key}/copy', right='template.change')
async def copy(acting: Acting) -> dict[str, Any]:
    made = await ConnectTemplate.copy(await _own(acting), acting.path['key'], name=acting.text('name'), by=acting.user)
    return {'key': made.key, 'now': await state_of(acting.user)}


@acts(router, 'POST', '/{key}/default', right='template.change')
async def make_default(acting: Acting) -> dict[str, Any]:
    """New customers begin with this template."""
    await ConnectTemplate.make_default(await _own(acting), acting.path['key'], by=acting.user)
    return {'now': await state_of(acting.user)}


@acts(router, 'POST', '/{key}/remove', right='template.change')
async def remove(acting: Acting) -> dict[str, Any]:
    """New customers cannot begin with this template any more."""
    await ConnectTemplate.remove(await _own(acting), acting.path['key'], by=acting.user)
    return {'now': await state_of(acting.user)}


async def _own(acting: Acting) -> Partner:
    return await Partner.get(id=acting.user.partner_id)
