"""Recommenders that read users and items alone."""
