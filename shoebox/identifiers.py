"""Patterns of the names of tenants and users, for every service and for tokens."""

from __future__ import annotations

import re

TENANT = re.compile(r"^[a-z][a-z0-9-]{1,31}$")
USER = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
