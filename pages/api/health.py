"""For whatever watches the portal: is it alive, is it ready."""

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from models import Partner, database

router = APIRouter(include_in_schema=False)
ASKED = ['GET', 'HEAD']  # monitors ask with either


@router.api_route('/healthz', methods=ASKED)
async def healthz() -> Response:
    """The process answers."""
    return JSONResponse({'status': 'ok'}, headers={'Cache-Control': 'no-store'})


@router.api_route('/readyz', methods=ASKED)
async def readyz() -> Response:
    """The database answers as well, and something could be stored in it a moment ago."""
    try:
        await Partner.exists()
    except database.FAILURES:
        return JSONResponse({'status': 'the database does not answer'}, 503)
    if database.condition.trouble:  # which, the log says; this is open to everybody
        return JSONResponse({'status': 'nothing can be stored in the database'}, 503)
    return JSONResponse({'status': 'ready'}, headers={'Cache-Control': 'no-store'})
