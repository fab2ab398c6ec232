"""Running models on new data."""
