"""How the portal's routes answer pages: JSON that is never kept, and a sentence where something cannot be."""

from typing import Any

import orjson
from starlette.responses import Response
from tortoise.exceptions import DoesNotExist

from models import Note
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.rights import Refused

NOT_FOUND = {'error': 'There is nothing here, or it is not yours to see.'}


class NotThere(Exception):
    """What is acted upon does not exist, or not for this person."""


# What `refusal` has words for.
REFUSALS = (Refused, Invalid, ChangedMeanwhile, Impossible, Note.EditedMeanwhile, NotThere, DoesNotExist)


def answer(content: Any, status: int = 200) -> Response:
    return Response(
        orjson.dumps(content, default=str), status, media_type='application/json', headers={'Cache-Control': 'no-store'}
    )


def refusal(error: Exception) -> Response:
    """What a person is told, and in which field of the form; `errors` are all fields where several are wrong."""
    if isinstance(error, Refused):
        return answer({'error': str(error)}, 403)
    if isinstance(error, Invalid):
        told = {'error': error.message, 'field': error.field}
        return answer(told | ({'errors': error.errors} if error.others else {}), 422)
    if isinstance(error, Impossible):
        return answer({'error': str(error)}, 409)
    if isinstance(error, ChangedMeanwhile):
        return answer({'error': str(error), 'field': error.field, 'now': error.now}, 409)
    if isinstance(error, Note.EditedMeanwhile):
        note = error.note
        now = {'body': note.body, 'version': note.version, 'by': note.edited_by or note.author, 'at': note.edited_at}
        return answer({'error': str(error), 'field': 'body', 'note': now}, 409)
    return answer(NOT_FOUND, 404)
