"""Transfer of datasets between workspaces: push to a folder, archive or URL, and pull from it.

A remote copy is a folder of files: ``objects/`` has the media by digest, ``tables/`` the files of the Lance tables,
which never change, ``lists/`` the lists of media, and ``datasets/NAME/NUMBER.json`` the manifests, each with the
digests of all files that it needs. A manifest is written after everything that it needs. Several datasets may share one
copy.
"""

from saccade.store.maintenance.transfer.pull import pull_dataset
from saccade.store.maintenance.transfer.push import TransferResult, push_dataset

__all__ = ["TransferResult", "pull_dataset", "push_dataset"]
