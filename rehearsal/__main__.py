"""`python -m rehearsal`: the commands behind make."""

from rehearsal.cli import main

raise SystemExit(main())
