"""The demo: a static page in whose reader's browser a learner learns from drawings."""
