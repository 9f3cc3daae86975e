"""Trains a meta-learner: the same as `meta-tf train`, from a checkout."""

import sys

from meta_tf.runs.train import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
