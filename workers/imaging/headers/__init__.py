"""Readers of what a file says about itself, one format a module; none decodes a pixel."""

from workers.imaging.headers.header import Header

__all__ = ["Header"]
