"""Process-wide concerns: signals and garbage-collector control."""
