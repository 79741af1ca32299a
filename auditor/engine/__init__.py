"""The scan: inventory of accounts and its judgement, over ports only."""
