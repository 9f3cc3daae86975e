"""`python -m meta_tf.command`: the same as the command `meta-tf`."""

import sys

from meta_tf.command.main import main

if __name__ == "__main__":
    sys.exit(main())
