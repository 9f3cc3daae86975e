"""What `import meta_tf` shows."""

import meta_tf


def test_completion_offers_the_public_names_and_nothing_that_the_package_imports():
    offered = {name for name in dir(meta_tf) if not name.startswith("__")}
    assert offered == set(meta_tf.__all__)
    assert {"MetaLearner", "MAML", "tasks"} <= offered
