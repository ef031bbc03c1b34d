"""The routes of the files service: /v1/files, /v1/limits."""
