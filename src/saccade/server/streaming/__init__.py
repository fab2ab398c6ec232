"""Streamed responses: Arrow record batches and ZIP archives."""
