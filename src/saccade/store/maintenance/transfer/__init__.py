"""Whole datasets on their way from one workspace to another: pushed to a folder, archive or URL, and pulled from it.

A copy is a folder of files: ``objects/`` the media under their digests, ``tables/`` the pieces of the Lance tables,
which never change, ``lists/`` the digests of the media, and ``datasets/NAME/NUMBER.json`` what there is, each with the
digests of all files that it needs. The last is written when everything else is there. Several datasets may share one.
"""

from saccade.store.maintenance.transfer.pull import pull_dataset
from saccade.store.maintenance.transfer.push import Copied, push_dataset

__all__ = ["Copied", "pull_dataset", "push_dataset"]
