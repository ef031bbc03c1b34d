"""Machines and containers that run environments for a fleet.

messages      what fleet and host send each other
api           the fleet's side
connection    the host's side of the connection
host          runs the environments; its status; reload. terminal: a process with the host's own terminal
"""
