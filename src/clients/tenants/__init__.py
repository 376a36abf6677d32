"""Customers and all they own as one YAML file (docs/tenants-file.md): read, compared, applied, written."""
