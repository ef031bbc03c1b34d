"""`python -m workers.runtime [module.handler]`: run a Lambda function. Variables: workers.runtime.settings."""

from __future__ import annotations

import sys

from workers.runtime.serve import main

if __name__ == "__main__":
    sys.exit(main())
