"""The demo: a static page on which a learner learns from drawings, in the browser."""
