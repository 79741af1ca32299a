"""An AWS organization on this machine: moto over HTTP, corrected towards AWS.

Needs the extra `demo`; importing this package alone does not.
"""
