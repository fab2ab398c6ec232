"""Request bodies: parsed and validated after the request is authorized, large ones in worker threads.

FastAPI parses and validates bodies on the event loop, which serves no other request in the meantime. A body of 1 MB
can have tens of thousands of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from saccade.core.errors import InvalidValueError
from saccade.server.dependencies.auth import authorize_async
from saccade.server.permissions import BodyLimits, body_limits

MAX_LISTED_ERRORS = 10
"""A response lists this many of the errors of a body, and their total number."""
MAX_OBJECT_FIELDS = 1000
MAX_DEPTH = 32
# One at a time: Python runs one thread at once, and the bodies of one client must not delay all other requests. A
# limiter belongs to an event loop.
_MAX_CONCURRENT = 1
# Handing a body over to a thread takes longer than parsing one of this size, unless it has thousands of errors.
MAX_INLINE_BYTES = 4 << 10
_limiter: RunVar[CapacityLimiter] = RunVar("saccade.body_limiter")


class InvalidBodyError(RequestValidationError):
    """The body does not match its model. Has the first errors only; ``count`` is the number of all errors."""

    def __init__(self, errors: Sequence[Any], count: int) -> None:
        super().__init__(errors)
        self.count = count


class JsonRoute(APIRoute):
    """Route whose JSON body is limited, parsed and validated, in a worker thread if it is large."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        handle = super().get_route_handler()
        model = None if self.body_field is None else self.body_field.field_info.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return handle

        async def handle_body(request: Request) -> Response:
            if not _is_json(request):
                return await handle(request)
            await authorize_async(request)
            content = await request.body()
            limits = body_limits(request.scope["path"])
            # Starlette keeps the parsed body in this attribute. FastAPI accepts an instance of the model as valid.
            if len(content) > MAX_INLINE_BYTES:
                limiter = _limiter.get(None)
                if limiter is None:
                    limiter = CapacityLimiter(_MAX_CONCURRENT)
                    _limiter.set(limiter)
                request._json = await run_sync(parse_body, content, model, limits, limiter=limiter)
            elif content:
                request._json = parse_body(content, model, limits)
            return await handle(request)

        return handle_body


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def parse_body(content: bytes, model: type[BaseModel], limits: BodyLimits) -> BaseModel:
    """Parse and validate a JSON body.

    Args:
        content: The body.
        model: The model of the body.
        limits: The limits of the route.

    Raises:
        InvalidValueError: The body is not JSON, or has too many values or levels.
        InvalidBodyError: The body does not match the model.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidValueError(f"The request body is not JSON: {error}.") from None
    _check_size(value, limits.values)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        first = [{**detail, "loc": ("body", *detail["loc"])} for detail in errors[:MAX_LISTED_ERRORS]]
        raise InvalidBodyError(first, len(errors)) from None


def _check_size(value: Any, max_values: int) -> None:
    """Check the numbers of values, fields and levels of a parsed body, level by level."""
    count = 1
    level = [value]
    for _ in range(MAX_DEPTH):
        nested: list[Any] = []
        for container in level:
            if isinstance(container, dict):
                if len(container) > MAX_OBJECT_FIELDS:
                    raise InvalidValueError(
                        f"An object of the request body has more than {MAX_OBJECT_FIELDS:,} fields."
                    )
                children = list(container.values())
            elif isinstance(container, list):
                children = container
            else:
                continue
            count += len(children)
            if count > max_values:
                raise InvalidValueError(f"The request body has more than {max_values:,} values.")
            nested.extend(child for child in children if isinstance(child, dict | list))
        if not nested:
            return
        level = nested
    raise InvalidValueError(f"The request body has more than {MAX_DEPTH} levels.")
