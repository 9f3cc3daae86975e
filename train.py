"""Trains a meta-learner: the same as the command `meta-tf train`, from a checkout."""

import sys

if __name__ == "__main__":
    sys.argv[:1] = ["meta-tf", "train"]  # with this name, TensorFlow is imported only when needed

    from meta_tf.command.main import main

    sys.exit(main())
