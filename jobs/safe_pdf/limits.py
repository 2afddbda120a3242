"""What one file may cost, and what can be wrong with it."""

import json
from dataclasses import asdict, dataclass
from enum import IntEnum

MB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The bounds of one conversion."""

    memory: int = 768 * MB  # address space of the worker
    cpu_seconds: int = 60
    wall_seconds: float = 90.0  # kept by the portal, for a worker that only waits
    pages: int = 500
    page_pixels: int = 25_000_000  # of a page that is made
    read_pixels: int = 50_000_000  # of an image that is read: what a telephone's camera makes
    side: int = 20_000  # pixels of a page in one direction
    output: int = 100 * MB
    dpi: int = 150

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> 'Limits':
        return cls(**json.loads(text))


class Why(IntEnum):
    """Why there is no safe PDF. The worker names one of these; the words are the portal's, so that no text comes out
    of the worker."""

    DAMAGED = 1
    PROTECTED = 2
    PAGES = 3
    PIXELS = 4
    MEMORY = 5
    TIME = 6
    OUTPUT = 7
    CRASHED = 8
    UNKNOWN_TYPE = 9
    PAGE_DAMAGED = 10

    def sentence(self, number: int, limits: Limits) -> str:
        """One sentence for a person; `number` is what was counted, 0 where nobody counted to the end."""
        pages = f'{number:,}' if number else f'more than {limits.pages:,}'
        pixels = f'{number:,}' if number else f'more than {limits.read_pixels:,}'
        return {
            Why.DAMAGED: 'The file cannot be read: it is damaged or cut off.',
            Why.PROTECTED: 'The file is protected by a password; upload it without one.',
            Why.PAGES: f'The file has {pages} pages; at most {limits.pages:,} are made.',
            Why.PIXELS: f'The image has {pixels} pixels; at most {limits.read_pixels:,} are read.',
            Why.MEMORY: 'The file needs more memory than one file may have.',
            Why.TIME: 'Drawing the file takes longer than one file may take.',
            Why.OUTPUT: f'The PDF would be larger than {limits.output // MB:,} MB.',
            Why.CRASHED: 'The file cannot be drawn: it is damaged, or made to do harm.',
            Why.UNKNOWN_TYPE: 'The file is of a type that is not accepted.',
            Why.PAGE_DAMAGED: f'Page {number:,} of the file cannot be read: it is damaged.',
        }[self]


class Unsafe(Exception):
    """There will be no safe PDF of this file."""

    def __init__(self, why: Why, number: int = 0) -> None:
        super().__init__(why.name)
        self.why = why
        self.number = number
