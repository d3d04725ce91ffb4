"""What every endpoint is handed: opened once, shared by all of one process. Only data."""

from collections.abc import Callable

import msgspec

from pipeline.api.access import ServerAccess
from pipeline.api.options import ApiOptions
from pipeline.api.questions import Questions
from pipeline.backends.contract import Appender
from pipeline.codec import Codec


class Context(msgspec.Struct, frozen=True):
    """The API around an endpoint."""

    options: ApiOptions
    access: ServerAccess
    questions: Questions
    appender: Appender
    codec: Codec
    clock: Callable[[], int]
    """Now, epoch ms."""
