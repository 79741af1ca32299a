"""A fast AWS of our own on this machine: IAM, STS and Organizations over HTTP, read-only.

Its content follows from (account, user, key) alone. The account of an IAM call is read from the
access key id in its Authorization header; signatures are not checked.
"""
