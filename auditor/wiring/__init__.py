"""The composition root: puts the parts together, a module for each command."""
