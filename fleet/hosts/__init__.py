"""Machines and containers that bring their own environments: the fleet hands out work, they run the processes."""
