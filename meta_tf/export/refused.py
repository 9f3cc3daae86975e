"""The error for a learner that another runtime cannot express."""


class Refused(ValueError):
    """A learner cannot be exported to a runtime, or would compute something else there."""
