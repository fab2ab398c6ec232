"""What a model is made of, as plain data: an encoder, a neck, and a head for each target."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class Strict(BaseModel):
    """A model of parameters in which an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentSpec(BaseModel):
    """A registered component by its ``type``, with that component's own parameters beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="the registered name of the component")

    def params(self) -> dict[str, Any]:
        """The parameters beside ``type``."""
        return dict(self.model_extra or {})


class InputSpec(Strict):
    """How an image becomes the tensor that the model sees."""

    size: tuple[PositiveInt, PositiveInt] = Field((320, 320), description="width and height in pixels")
    fit: Literal["letterbox", "stretch", "crop"] = Field(
        "letterbox", description="keep the shape and pad; change the shape; or keep the shape and cut the longer side"
    )
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="subtracted, of 0..1 RGB")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        (0.229, 0.224, 0.225), description="divided by, of 0..1 RGB"
    )


class ModelSpec(Strict):
    """The whole model: one image input, an encoder, an optional neck, and heads by the name of their target column."""

    input: InputSpec = InputSpec()
    encoder: ComponentSpec = Field(description="images in, feature maps out")
    neck: ComponentSpec | None = Field(None, description="mixes feature maps of different scales")
    heads: dict[str, ComponentSpec] = Field(min_length=1, description="what is predicted, by the column it learns")
