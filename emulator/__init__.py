"""The embedded AWS emulator: process, tuning, data limits, provisioning."""
