"""The types of providers, in one table: how each is reached through Cloudflare AI Gateway, and how directly.

Control checks providers against it, the edge works endpoints out of it. Facts: Cloudflare's AI Gateway
documentation (usage/providers, usage/chat-completion, features/unified-billing), the vendors' own pages on
their OpenAI-compatible endpoints, and Anthropic's and Google's API references.
"""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tollkeeper.operations import ANTHROPIC_OPERATIONS, GOOGLE_OPERATIONS, OPENAI_OPERATIONS, Operation, Wire

CUSTOM = "custom"
AZURE = "azure-openai"
GOOGLE = "google"
# Vendors without an OpenAI path of their own speak another format; /compat translates chat, and the model
# carries the vendor's name.
COMPAT_PATH = f"compat/{Operation.CHAT}"
# The newest generally available version that Azure's path through the gateway takes.
AZURE_API_VERSION = "2024-10-21"
MODEL_IN_PATH = "{model}"
_OPERATION_IN_PATH = "{operation}"
_RESOURCE_IN_PATH = "{resource}"
_OF_MODEL = f"models/{MODEL_IN_PATH}:{_OPERATION_IN_PATH}"
_AZURE_HOST = ".openai.azure.com"


@dataclass(frozen=True, slots=True)
class ProviderType:
    """One vendor, and the operations that it serves."""

    name: str
    slug: str = ""
    """In Cloudflare's paths; empty: Cloudflare doesn't know it."""
    wire: Wire = Wire.OPENAI
    """The format it is spoken to in."""
    operations: frozenset[Operation] = frozenset({Operation.CHAT})
    """What it serves; behind an address of the customer's own everything may be."""
    path: str = _OPERATION_IN_PATH
    """An operation behind the slug. Cloudflare appends it to the vendor's base URL as it is, so a `v1` too
    many or too few is the vendor's 404."""
    compat_prefix: str = ""
    """Of the model on /compat, which translates chat for vendors that speak a format of their own."""
    models_path: str = ""
    """The vendor's list of models behind the slug; empty: it has none that is known."""
    direct_url: str = ""
    """The vendor's own base URL; empty: none that is the same for everybody."""
    path_below: str = _OPERATION_IN_PATH
    """An operation below a base URL, the vendor's or the customer's."""
    direct: bool = True
    """Whether the vendor speaks a wire of ours, so that it can be reached without Cloudflare."""
    needs_base_url: bool = False
    """The address differs from one customer of the vendor to another."""
    unified_billing: bool = False
    """Cloudflare bills it without any key, on its gateway host."""
    output_limit: str = "max_tokens"
    """The name of the output limit that the vendor is sure to know."""
    knows_one_limit: bool = False
    """The newer name of the limit is refused or ignored, so it has to be renamed."""
    key_header: str = "authorization"
    """Where the credential goes: as a bearer, or as it is in a header of the vendor's own."""
    aliases: tuple[str, ...] = ()
    """Other names of the type."""

    @property
    def through_gateway(self) -> bool:
        """Whether anything goes through Cloudflare."""
        return bool(self.slug and self.operations)

    @property
    def served(self) -> bool:
        """Whether the edge can serve it in any way."""
        return self.through_gateway or self.direct

    def gateway_path(self, operation: Operation, base_url: str) -> str:
        """The slug with the path of an operation; MODEL_IN_PATH stands where a path names the model.

        Raises ValueError where the path needs a resource that the base URL doesn't name.
        """
        if self.compat_prefix:
            return COMPAT_PATH
        path = f"{self.slug}/{self.path}".replace(_OPERATION_IN_PATH, operation)
        if _RESOURCE_IN_PATH not in path:
            return path
        resource = azure_resource(base_url)
        if resource is None:
            raise ValueError("the base URL names no resource")
        return path.replace(_RESOURCE_IN_PATH, quote(resource, safe=""))

    def direct_path(self, operation: Operation) -> str:
        """An operation below a base URL; MODEL_IN_PATH stands where a path names the model."""
        return self.path_below.replace(_OPERATION_IN_PATH, operation)


_NEWER = "max_completion_tokens"
_V1 = f"v1/{_OPERATION_IN_PATH}"
_AUDIO = frozenset({Operation.SPEECH, Operation.TRANSCRIPTIONS, Operation.TRANSLATIONS})


def _also(*operations: Operation) -> frozenset[Operation]:
    return frozenset({Operation.CHAT, *operations})


def _unserved(name: str) -> ProviderType:
    """A vendor that Cloudflare knows and that has no chat in OpenAI's format there."""
    return ProviderType(name, slug=name, operations=frozenset(), direct=False)


_TYPES = (
    ProviderType(
        "openai",
        slug="openai",
        operations=OPENAI_OPERATIONS,
        models_path="models",
        direct_url="https://api.openai.com/v1",
        unified_billing=True,
        output_limit=_NEWER,
    ),
    ProviderType(
        GOOGLE,
        slug="google-ai-studio",
        wire=Wire.GOOGLE,
        operations=GOOGLE_OPERATIONS,
        path=f"v1beta/{_OF_MODEL}",
        models_path="v1beta/models",
        direct_url="https://generativelanguage.googleapis.com/v1beta",
        path_below=_OF_MODEL,
        unified_billing=True,
        key_header="x-goog-api-key",
        aliases=("gemini", "google-ai-studio"),
    ),
    ProviderType(
        "anthropic",
        slug="anthropic",
        wire=Wire.ANTHROPIC,
        operations=ANTHROPIC_OPERATIONS,
        path=_V1,
        models_path="v1/models",
        direct_url="https://api.anthropic.com/v1",
        unified_billing=True,
        key_header="x-api-key",
    ),
    ProviderType(
        AZURE,
        slug=AZURE,
        operations=_also(Operation.COMPLETIONS, Operation.EMBEDDINGS, Operation.IMAGES, *_AUDIO),
        path=f"{_RESOURCE_IN_PATH}/{MODEL_IN_PATH}/{_OPERATION_IN_PATH}?api-version={AZURE_API_VERSION}",
        needs_base_url=True,
        key_header="api-key",
    ),
    ProviderType(
        "workers-ai",
        slug="workers-ai",
        operations=_also(Operation.EMBEDDINGS, Operation.RESPONSES),
        path=_V1,
        unified_billing=True,
        knows_one_limit=True,
    ),
    ProviderType(
        "groq",
        slug="groq",
        operations=_also(Operation.RESPONSES, *_AUDIO),
        models_path="models",
        direct_url="https://api.groq.com/openai/v1",
        unified_billing=True,
        output_limit=_NEWER,
    ),
    ProviderType(
        "mistral",
        slug="mistral",
        operations=_also(Operation.EMBEDDINGS, Operation.MODERATIONS, Operation.TRANSCRIPTIONS),
        path=_V1,
        models_path="v1/models",
        direct_url="https://api.mistral.ai/v1",
        knows_one_limit=True,
    ),
    ProviderType(
        "deepseek",
        slug="deepseek",
        models_path="models",
        direct_url="https://api.deepseek.com",
        knows_one_limit=True,
    ),
    ProviderType(
        "grok",
        slug="grok",
        operations=_also(Operation.RESPONSES, Operation.IMAGES),
        path=_V1,
        models_path="v1/models",
        direct_url="https://api.x.ai/v1",
        unified_billing=True,
        output_limit=_NEWER,
        aliases=("xai",),
    ),
    ProviderType(
        "openrouter",
        slug="openrouter",
        operations=_also(Operation.COMPLETIONS, Operation.EMBEDDINGS, Operation.RESPONSES),
        path=_V1,
        models_path="v1/models",
        direct_url="https://openrouter.ai/api/v1",
        output_limit=_NEWER,
    ),
    ProviderType(
        "perplexity",
        slug="perplexity-ai",
        direct_url="https://api.perplexity.ai",
        knows_one_limit=True,
        aliases=("perplexity-ai",),
    ),
    ProviderType(
        "cerebras",
        slug="cerebras",
        operations=_also(Operation.COMPLETIONS),
        models_path="models",
        direct_url="https://api.cerebras.ai/v1",
        output_limit=_NEWER,
    ),
    ProviderType(
        "fireworks",
        slug="fireworks",
        operations=_also(Operation.COMPLETIONS, Operation.EMBEDDINGS),
        models_path="models",
        direct_url="https://api.fireworks.ai/inference/v1",
        knows_one_limit=True,
    ),
    ProviderType(
        "cohere",
        slug="cohere",
        compat_prefix="cohere/",
        models_path="v1/models",
        direct_url="https://api.cohere.ai/compatibility/v1",
    ),
    ProviderType(
        "google-vertex-ai",
        slug="google-vertex-ai",
        compat_prefix="google-vertex-ai/",
        direct=False,
        unified_billing=True,
        aliases=("vertex",),
    ),
    ProviderType(
        "aws-bedrock", slug="aws-bedrock", compat_prefix="aws-bedrock/", direct=False, aliases=("bedrock",)
    ),
    ProviderType("baseten", slug="baseten", compat_prefix="baseten/"),
    ProviderType("parallel", slug="parallel", compat_prefix="parallel/", direct=False),
    *map(
        _unserved,
        (
            "huggingface",
            "replicate",
            "fal",
            "ideogram",
            "cartesia",
            "deepgram",
            "elevenlabs",
            "adobe-firefly",
        ),
    ),
    ProviderType(CUSTOM, operations=OPENAI_OPERATIONS, needs_base_url=True),
)

# By name, in the order in which they are shown.
PROVIDER_TYPES = {each.name: each for each in _TYPES}
_BY_ANY_NAME = {alias: each for each in _TYPES for alias in (each.name, *each.aliases)}


def find_type(name: str) -> ProviderType | None:
    """The type of this name or alias (`gemini` is `google`)."""
    return _BY_ANY_NAME.get(name)


def goes_direct(type_name: str, base_url: str, direct: bool) -> bool:
    """Whether a provider is reached without Cloudflare: when it says so, when it can't be otherwise, and when
    it has a base URL (Azure's names the resource, which its path through Cloudflare needs too)."""
    return direct or type_name == CUSTOM or bool(base_url and type_name != AZURE)


def direct_base_url(type_name: str, base_url: str) -> str:
    """Where a direct provider's paths begin: its own base URL, else the vendor's; empty where there is
    neither."""
    if type_name == AZURE and base_url and not urlsplit(base_url).path.strip("/"):
        return base_url.rstrip("/") + "/openai/v1"
    if type_name == GOOGLE:
        # Where its OpenAI-compatible endpoint begins, its own API is one step above.
        base_url = base_url.rstrip("/").removesuffix("/openai")
    known = PROVIDER_TYPES.get(type_name)
    return base_url or (known.direct_url if known else "")


def operations_of(type_name: str, base_url: str, direct: bool) -> frozenset[Operation]:
    """What a provider serves that is reached so; behind an address of the customer's own may be any server
    that speaks the type's format. A base URL that names the path of chat leads nowhere else."""
    known = find_type(type_name) or PROVIDER_TYPES[CUSTOM]
    if not goes_direct(type_name, base_url, direct):
        return known.operations
    if urlsplit(base_url).path.endswith(f"/{Operation.CHAT}"):
        return frozenset({Operation.CHAT})
    return OPENAI_OPERATIONS if base_url and known.wire is Wire.OPENAI else known.operations


def azure_resource(base_url: str) -> str | None:
    """The resource that Azure's path through Cloudflare names; None for a host that isn't Azure's."""
    host = (urlsplit(base_url).hostname or "").lower()
    resource = host.removesuffix(_AZURE_HOST)
    return resource if resource and resource != host and "." not in resource else None


def why_unreachable(
    type_name: str, base_url: str, direct: bool, has_credential: bool, stored_key_alias: str
) -> str | None:
    """In words, why requests can't go where the settings say; None when they can.

    What a control plane can say without the edge's own settings: that there is a Cloudflare account is taken
    for granted.
    """
    known = PROVIDER_TYPES.get(type_name)
    if known is None or not known.served:
        return f"{type_name} has no chat in OpenAI's format, so nothing can be sent to it yet"
    if has_credential and stored_key_alias:
        return "a credential would be sent in place of the key stored at Cloudflare: give one of them"
    if not goes_direct(type_name, base_url, direct):
        if type_name == AZURE and azure_resource(base_url) is None:
            return f"through Cloudflare {AZURE} needs a base_url such as https://my-resource{_AZURE_HOST}"
        if not known.through_gateway:
            return f"Cloudflare has no path for {type_name}"
        return None
    if not known.direct:
        return (
            f"{type_name} speaks a format of its own, which only Cloudflare translates: leave out direct and"
            f" base_url, or use the type {CUSTOM} for an OpenAI-compatible address"
        )
    if stored_key_alias:
        return "a key stored at Cloudflare is of no use without Cloudflare: leave out direct and base_url"
    if not direct_base_url(type_name, base_url):
        return f"to reach {type_name} directly takes a base_url"
    if not base_url and not has_credential:
        return f"to reach {type_name} directly takes a credential"
    return None


def leads_somewhere(type_name: str, base_url: str, direct: bool) -> bool:
    """Whether an edge with a Cloudflare account finds an address for a provider's requests."""
    known = PROVIDER_TYPES.get(type_name)
    if goes_direct(type_name, base_url, direct):
        return bool(direct_base_url(type_name, base_url))
    if known is None or not known.through_gateway:
        return False
    return type_name != AZURE or azure_resource(base_url) is not None
