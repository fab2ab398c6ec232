"""Request and response models of the HTTP API, independent of how the data is stored."""
