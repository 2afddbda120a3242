"""For whatever watches the portal: is it alive, is it ready."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response
from tortoise.exceptions import BaseORMException

from models import Partner

router = APIRouter(include_in_schema=False)


@router.get('/healthz')
async def healthz() -> Response:
    """The process answers."""
    return JSONResponse({'status': 'ok'}, headers={'Cache-Control': 'no-store'})


@router.get('/readyz')
async def readyz() -> Response:
    """The database answers as well."""
    try:
        await Partner.exists()
    except (BaseORMException, OSError):
        return JSONResponse({'status': 'the database does not answer'}, 503)
    return JSONResponse({'status': 'ready'}, headers={'Cache-Control': 'no-store'})
