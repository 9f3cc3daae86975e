"""The public surface."""

import meta_tf.tasks


def test_public_names():
    assert sorted(meta_tf.tasks.__all__) == [
        "ClassSplit",
        "GroupSplit",
        "HiddenTeacher",
        "ImageFolder",
        "Omniglot",
        "Sinusoid",
        "Source",
        "Split",
        "from_arrays",
        "from_function",
        "from_groups",
        "from_pairs",
        "from_table",
    ]
    for name in meta_tf.tasks.__all__:
        assert getattr(meta_tf.tasks, name).__doc__
