"""Pipeline definitions: the graph, its YAML form, operation loading and the plan."""
