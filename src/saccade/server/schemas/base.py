"""What the shapes of the API share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Given(BaseModel):
    """What comes in; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Problem(Answer):
    """What is wrong: a stable word, a sentence, what to do, and the fields that it is about."""

    code: str
    message: str
    hint: str = ""
    fields: dict[str, str] = {}


class Failure(Answer):
    """Every error of the API."""

    error: Problem


class Health(Answer):
    status: str
    version: str
