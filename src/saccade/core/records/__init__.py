"""Value types that the store, the server and the client share, free of any database."""
