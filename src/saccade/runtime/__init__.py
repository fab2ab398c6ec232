"""Process-wide concerns: signals, child processes and garbage-collector control."""
