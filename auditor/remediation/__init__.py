"""Changing keys: a plan (pure), and the apply that does exactly it or refuses."""
