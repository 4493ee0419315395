"""Objectives: what a loss compares, and how."""
