"""FastAPI dependencies: authentication, rate limits, open dataset versions and concurrency limits."""
