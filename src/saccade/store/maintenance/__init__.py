"""Maintenance of a workspace: doctor, garbage collection, backup and transfer of datasets."""
