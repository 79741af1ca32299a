"""Who is compared. Each module is a program that reads all keys of an organization with last use.

They find AWS by the environment, as any SDK does, and print what they read as one JSON object.
"""
