"""Colours as a profile means them, as sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

_MODES = ("RGB", "RGBA")


def needs_conversion(image: Image.Image) -> bool:
    """Whether the image has a usable profile of other colours than sRGB."""
    profile = image.info.get("icc_profile")
    return image.mode in _MODES and isinstance(profile, bytes) and _transform(profile, image.mode) is not None


def to_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB; as it is where it has no profile, or none that can be used."""
    if not needs_conversion(image):
        return image
    converted: Image.Image = _transform(image.info["icc_profile"], image.mode).apply(image)  # type: ignore[union-attr]
    return converted


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> Any | None:
    """From a profile to sRGB, by relative colorimetry; None for sRGB itself and for what is no profile of RGB."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB" or "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        target = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, mode, mode, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
