"""Emulator and fleet, started together on this machine."""
