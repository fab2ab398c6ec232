"""Model specifications, the graph builder and the components they name."""
