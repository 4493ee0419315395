"""Recommenders that read features of items: images, texts, sounds, whatever the data set has, by name."""
