"""Whom to audit: from `--accounts` and `--exclude` to accounts."""
