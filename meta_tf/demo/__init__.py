"""The demo: a static page on which a learner learns drawings or photographs, in the browser."""
