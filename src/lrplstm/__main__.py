"""``python -m lrplstm`` is the command `lrplstm`."""

import sys

from lrplstm.cli import main

if __name__ == "__main__":
    sys.exit(main())
