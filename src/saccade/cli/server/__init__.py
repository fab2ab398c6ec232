"""Commands for the server: serve, worker, jobs, webhooks, panels."""
