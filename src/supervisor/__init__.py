"""`tollkeeper up`: runs all parts on one machine, restarts what dies, drains on Ctrl-C."""
