"""Convert colors of embedded ICC profiles to sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

_RGB_MODES = ("RGB", "RGBA")


def needs_conversion(image: Image.Image) -> bool:
    """Whether the image has a valid RGB profile other than sRGB."""
    profile = image.info.get("icc_profile")
    return image.mode in _RGB_MODES and isinstance(profile, bytes) and _srgb_transform(profile, image.mode) is not None


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert the image to sRGB. An image without a valid RGB profile is returned unchanged."""
    if not needs_conversion(image):
        return image
    converted: Image.Image = _srgb_transform(image.info["icc_profile"], image.mode).apply(image)  # type: ignore[union-attr]
    return converted


@lru_cache(maxsize=32)
def _srgb_transform(profile: bytes, mode: str) -> Any | None:
    """Build the transform to sRGB (relative colorimetric), or None if the profile is sRGB, invalid or not RGB."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB" or "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        target = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, mode, mode, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
