import asyncio

from models import events
from pages import face, help


async def test_who_asks_while_somebody_else_reads_gets_what_is_new(db, northwind):
    await face.prepare(northwind.ana)
    northwind.partner.name = 'Northwind & Daughters'
    await northwind.partner.save()
    events.PARTNER_CHANGED.emit(northwind.partner.id)
    found = await asyncio.gather(*(face.prepare(each) for each in (northwind.ana, northwind.tom, northwind.ana)))
    assert {each.name for each in found} == {'Northwind & Daughters'}
    northwind.partner.help_base = 'https://help.example/'
    await northwind.partner.save()
    events.PARTNER_CHANGED.emit(northwind.partner.id)
    await asyncio.gather(help.prepare(northwind.ana), help.prepare(northwind.tom))
    assert help.of(northwind.tom).base == 'https://help.example'
