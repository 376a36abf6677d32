"""`make chaos`: every part is killed under load, and the ledger held against the upstream's own bill."""
