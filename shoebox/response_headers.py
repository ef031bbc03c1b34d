"""Security headers of every response that we make: of the API, the gateway, and the internal ports."""

from __future__ import annotations

SAFE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Names in lower case. A page that has its own policy sets its own value."""
