"""Findings of a stored run sent elsewhere, behind the port Publisher."""
