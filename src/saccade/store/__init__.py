"""The store: workspaces with their catalog, blobs, datasets, models, runs and users."""
