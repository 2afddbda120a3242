"""Run by the bench in a data folder: the demonstration's cast, customers that take readings, signed-in sessions."""

import asyncio
import json
import sys
from datetime import timedelta

from models import ApiToken, Customer, Partner, PortalUser, Session
from models.database import opened
from models.demo import load_demo


def customers_csv(count: int) -> bytes:
    # Names that sort before those of the demonstration, so that they are what a list shows first.
    lines = [f'000 Bench {n:04},BENCH{n:04},250,standard,bench{n}.example,SEC+ARC,complete,n/a' for n in range(count)]
    return '\n'.join(['name,account_code,licences,account_type,domain,products,list,rfi', *lines]).encode()


async def prepare(real: int, sessions: int) -> dict:
    from models.customer_import import import_customers

    partner = await Partner.get(slug='northwind-it')
    ana = await PortalUser.get(email='ana@northwind.example')
    if real:
        result = await import_customers(partner, customers_csv(real))
        if result.refused:
            sys.exit(f'the customers of the bench were refused: {result.refused[0]}')
    made = [
        (await Session.open(ana, lasts=timedelta(hours=2), address='127.0.0.1', agent='bench'))[1]
        for _ in range(sessions)
    ]
    found = await Customer.filter(partner_id=partner.id, account_code__startswith='BENCH').order_by('id')
    return {
        'token': await ApiToken.issue(partner, 'bench'),
        'sessions': made,
        'customers': [(customer.id, customer.account_code) for customer in found],
    }


async def main() -> None:
    async with opened():
        await load_demo()
        if sys.argv[1] != 'cast':
            print(json.dumps(await prepare(int(sys.argv[1]), int(sys.argv[2]))))


if __name__ == '__main__':
    asyncio.run(main())
