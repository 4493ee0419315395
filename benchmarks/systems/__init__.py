"""The systems whose training is timed: each module's ``train(job)`` returns a function that trains from an epoch's
beginning, as the system itself does, until the meter stops it."""
