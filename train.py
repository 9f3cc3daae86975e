"""Trains a meta-learner: the same as the command `meta-tf train`, from a checkout."""

import sys

if __name__ == "__main__":
    words = ["train", *sys.argv[1:]]
    sys.argv[0] = "meta-tf"  # so that TensorFlow is imported once it is needed

    from meta_tf.command.main import main

    sys.exit(main(words))
