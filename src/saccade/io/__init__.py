"""Files: atomic and durable writes."""
