"""The shapes of what the API takes and gives; apart from how things are stored."""
