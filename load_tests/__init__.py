"""Load: virtual phones that upload photos, as Locust users. Needs the extra `load`; Locust patches all sockets."""
