"""The SQLite file that keeps runs; every report reads from it."""
