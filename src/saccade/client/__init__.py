"""Python client of a server; :func:`connect` returns a remote workspace with the interface of a local one."""

from saccade.client.remote_workspace import RemoteWorkspace, connect
from saccade.client.version import RemoteVersion

__all__ = ["RemoteVersion", "RemoteWorkspace", "connect"]
