"""Management over HTTP (docs/rest.md): every admin RPC of the contract under /v1, made from its
`google.api.http` annotations, and the surfaces of systems A (/api) and B (/v1/ai/keys) over the same calls.

Nothing here decides who may do what: the caller's credential goes on to the control plane, which does.
"""
