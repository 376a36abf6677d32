"""Other people's SDKs against the edge: only the address and the key are changed.

`test_one_of_each` runs always; the rest is the matrix of `make test-full`.
"""
