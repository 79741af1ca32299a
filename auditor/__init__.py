"""iamaudit: a live, organization-wide audit of AWS IAM access keys."""

__version__ = "0.1.0"
