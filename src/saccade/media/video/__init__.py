"""Probe videos and decode their frames.

A frame is identified by its 0-based index in presentation order, which :class:`FrameIndex` defines.
"""

from saccade.media.video.container import VIDEO_LIMITS, VideoLimits, VideoSource, is_video
from saccade.media.video.index import FrameIndex
from saccade.media.video.reader import Video, VideoProbe, probe_video

__all__ = ["VIDEO_LIMITS", "FrameIndex", "Video", "VideoLimits", "VideoProbe", "VideoSource", "is_video", "probe_video"]
