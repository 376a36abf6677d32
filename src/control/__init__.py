"""The control plane: gRPC services over PostgreSQL, the only owner of the ledger."""
