"""The day simulator: photos on their way through the fleet's own limit objects, with a virtual clock.

model        assumptions: parameters and settings
capacity     a photo's calls, and what they need of each limit; `shoebox quotas plan` has it, too
clock        virtual time in ticks, and what is due when
limits       all limits of the account, and when each refused first
invocations  invocations that hold concurrency for as long as they take
backlog      the queue, as cohorts of photos
phones       registrations, polls and uploads
ingest       the event source mapping and its batches
tally        counts, by interval and in all
day          a whole day of it
report       the day as `load_tests.results.Results`
"""
