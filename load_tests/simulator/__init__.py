"""The day simulator: the way of a photo on the fleet's own limit objects, with a virtual clock.

model     what is assumed: parameters and settings
clock     virtual time in ticks, and what is due when
limits    all limits of the account, and when each refused first
places    invocations that hold their places for as long as they take
backlog   the queue, as cohorts of photos
phones    registrations, polls and uploads
ingest    the event source mapping and its batches
tally     what is counted, by interval and in all
day       a whole day of it
report    the day as `load_tests.results.Results`
"""
