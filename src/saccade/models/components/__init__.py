"""Components of models: encoders, necks and heads."""
