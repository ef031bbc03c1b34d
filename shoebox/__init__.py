"""Shoebox: image storage for photo shops. The domain, and AWS below it."""
