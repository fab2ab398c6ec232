"""Tables that flow between steps, and where their values come from."""
