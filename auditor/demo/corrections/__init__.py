"""Where moto's answers are corrected towards AWS: one file per service, plus the report."""
