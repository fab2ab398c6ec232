"""Work that people leave to the server, and the workers that do it."""
