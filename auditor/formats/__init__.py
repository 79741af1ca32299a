"""Report formats: one module each, reading a stored run only."""
