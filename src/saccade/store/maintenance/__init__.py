"""Maintenance of a workspace: doctor, garbage collection, orphans, backup and transfer."""
