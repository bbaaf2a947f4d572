"""Nets that are shared, as weights, description and card: on the Hugging Face Hub, in this package, or as a folder."""
