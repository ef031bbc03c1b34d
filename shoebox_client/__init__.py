"""A client of Shoebox's HTTP API on asyncio: calls (`api`), and uploads that can be interrupted (`uploads`).

Nothing here prints; whoever shows progress listens to `events`.
"""
