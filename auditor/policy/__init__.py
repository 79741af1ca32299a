"""YAML and CEL in, verdicts out; nothing here reads a clock, a file or AWS."""
