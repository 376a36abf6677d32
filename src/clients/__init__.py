"""Clients of the control plane: they show and ask, and own nothing."""
