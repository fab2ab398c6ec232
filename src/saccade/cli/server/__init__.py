"""Commands around the server: serve, worker, jobs, webhooks, panels."""
