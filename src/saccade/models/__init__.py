"""Model specifications, the model builder, and the built-in encoders, necks and heads."""
