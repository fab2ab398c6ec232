"""Video: what a file holds, the frames it has in the order in which they are shown, and the pixels of any of them.

A frame is named by its place in one order, by presentation time, which :class:`FrameIndex` gives and everything uses.
"""

from saccade.media.video.container import VIDEO_LIMITS, VideoLimits, VideoSource, is_video
from saccade.media.video.index import FrameIndex
from saccade.media.video.reader import Video, VideoProbe, probe_video

__all__ = ["VIDEO_LIMITS", "FrameIndex", "Video", "VideoLimits", "VideoProbe", "VideoSource", "is_video", "probe_video"]
