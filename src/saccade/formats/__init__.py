"""One module per outside format: detect, read, write, and what it drops."""
