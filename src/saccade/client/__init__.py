"""A server's workspace from Python: what :func:`connect` gives reads like a workspace on this machine."""

from saccade.client.remote_workspace import Site, connect
from saccade.client.version import RemoteVersion

__all__ = ["RemoteVersion", "Site", "connect"]
