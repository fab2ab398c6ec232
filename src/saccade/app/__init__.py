"""Use cases: the one thing that the command line and the server call."""
