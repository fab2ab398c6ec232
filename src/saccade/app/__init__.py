"""Use cases, shared by the command line, the server and the Python API."""
