"""The workspace: datasets and versions, objects, catalog, migrations."""
