"""Runs all parts on one machine: `tollkeeper up`."""
