"""`python -m meta_tf.runs`: the same as the command `meta-tf`."""

import sys

from meta_tf.runs.command import main

if __name__ == "__main__":
    sys.exit(main())
