"""Training: recipes are data, the loop runs them."""
