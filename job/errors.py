"""The error that ends the job with one line for the reader."""


class JobError(Exception):
    """The job cannot start or go on. The message is one line: which service or setting, what is wrong, what to do."""
