"""The built-in parts of models."""
