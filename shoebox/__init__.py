"""Shoebox: image storage for photo shops. The domain, its ports to AWS, and the command line."""
