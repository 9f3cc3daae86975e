"""The error of a learner that another runtime cannot express."""


class Refused(ValueError):
    """What a learner does cannot be written for a runtime, or would not be the same there."""
