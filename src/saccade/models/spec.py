"""Model specification: an encoder, an optional neck, and a head for each target, as plain data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from saccade.core.config import StrictModel


class ComponentSpec(BaseModel):
    """A registered component: its ``type``, and its own parameters beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="registered name of the component")

    def params(self) -> dict[str, Any]:
        """Return the parameters, without ``type``."""
        return dict(self.model_extra or {})


class InputSpec(StrictModel):
    """Preprocessing of images."""

    size: tuple[PositiveInt, PositiveInt] = Field((320, 320), description="width and height in pixels; any size")
    fit: Literal["letterbox", "stretch", "crop"] = Field(
        "letterbox", description="keep the aspect ratio and pad; change it; or keep it and crop the longer side"
    )
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="mean of each channel, subtracted; RGB from 0 to 1"
    )
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        (0.229, 0.224, 0.225), description="standard deviation of each channel, divided by; RGB from 0 to 1"
    )


class ModelSpec(StrictModel):
    """The model: one image input, an encoder, an optional neck, and a head for each target column."""

    input: InputSpec = InputSpec()
    encoder: ComponentSpec = Field(description="images to feature maps")
    neck: ComponentSpec | None = Field(None, description="mixes feature maps of different scales")
    heads: dict[str, ComponentSpec] = Field(min_length=1, description="what to predict, by target column")
