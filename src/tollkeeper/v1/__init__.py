"""Generated from proto/tollkeeper/v1 by scripts/protos."""
