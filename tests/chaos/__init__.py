"""`make chaos`: load from the SDK while every part is killed; then the ledger is held against the upstream's bill."""
