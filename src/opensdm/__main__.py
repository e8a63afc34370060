"""`python -m opensdm`."""

from opensdm.cli import main

main()
