"""Base classes of the request and response models, and the error format."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """Base of request bodies; unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """Base of responses; can be created from an object with the same attributes."""

    model_config = ConfigDict(from_attributes=True)


class ErrorDetail(ResponseModel):
    """An error: a stable code, a message, a hint what to do, and messages by field of the request."""

    code: str
    message: str
    hint: str = ""
    fields: dict[str, str] = {}


class ErrorResponse(ResponseModel):
    """Format of all errors."""

    error: ErrorDetail


class HealthResponse(ResponseModel):
    """Status and version of the server."""

    status: str
    version: str
