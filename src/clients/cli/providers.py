"""`tollkeeper providers`: vendor credentials, how vendors are reached, and whether they are."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.granting import Grant, GrantAll, GrantAllOr, GrantNone, granted_to, grants
from clients.cli.options import Customer, Force, Id, Limit, Name, NewName, secret
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    ListProviderTypesRequest,
    Provider,
    ProviderType,
    TestProviderRequest,
    UpdateProviderRequest,
)
from tollkeeper.v1.providers_pb2_grpc import ProvidersServiceStub

app = noun()

COLUMNS = {
    "provider_id": "ID",
    "name": "NAME",
    "provider_type": "TYPE",
    "base_url": "BASE URL",
    "has_credential": "CREDENTIAL",
    "disabled": "DISABLED",
    "platform": "PLATFORM",
}
TYPE_COLUMNS = {
    "provider_type": "TYPE",
    "aliases": "ALSO",
    "through_cloudflare": "CLOUDFLARE",
    "direct": "DIRECT",
    "needs_base_url": "NEEDS BASE URL",
    "unified_billing": "UNIFIED BILLING",
    "served": "SERVED",
}
CREDENTIAL_VARIABLE = "TOLLKEEPER_PROVIDER_CREDENTIAL"

BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Needed for the types `custom` and `azure-openai`."),
]
TypeName = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="openai, google, anthropic, custom, ...")
]
Direct = Annotated[
    bool | None,
    typer.Option(
        "--direct/--through-cloudflare", help="Straight to the vendor, without Cloudflare AI Gateway."
    ),
]
Passthrough = Annotated[
    list[str] | None,
    typer.Option(
        "--passthrough",
        metavar="PATH",
        help="A path below the vendor's base URL that goes through as it is; repeat it. '' for none.",
    ),
]
CredentialStdin = Annotated[
    bool,
    typer.Option(
        "--credential-stdin", help=f"Read the credential from standard input. Or {CREDENTIAL_VARIABLE}."
    ),
]
StoredKey = Annotated[
    str | None, typer.Option("--stored-key", metavar="ALIAS", help="A key stored at Cloudflare.")
]


@command(app, "create")
def create(
    session: Session,
    customer: Customer,
    name: Name,
    provider_type: TypeName,
    base_url: BaseUrl = None,
    credential_stdin: CredentialStdin = False,
    stored_key: StoredKey = None,
    direct: Direct = None,
    passthrough: Passthrough = None,
    grant: Grant = None,
    grant_all: GrantAll = False,
) -> None:
    """Create a provider; without credential or stored key Cloudflare bills the vendor's use."""
    provider = Provider(
        customer_id=customer,
        name=name,
        provider_type=provider_type,
        base_url=base_url or "",
        credential=_credential(credential_stdin) or "",
        stored_key_alias=stored_key or "",
        direct=bool(direct),
        passthrough_paths=_paths(passthrough) or (),
        granted_to_all=grant_all,
        granted_customer_ids=granted_to(session, grant),
    )
    request = CreateProviderRequest(provider=provider)
    output.record(session, _plain(ProvidersServiceStub(session.channel()).CreateProvider(request)))


@command(app, "list")
def list_(session: Session, customer: Customer, limit: Limit = None) -> None:
    """List the providers of a customer."""
    stub = ProvidersServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[Provider], str]:
        request = ListProvidersRequest(customer_id=customer, page_size=page_size, page_token=page_token)
        answer = stub.ListProviders(request)
        return list(answer.providers), answer.next_page_token

    output.listing(session, [_plain(each) for each in collect(page, limit)], COLUMNS)


@command(app, "show")
def show(session: Session, provider: Id, customer: Customer) -> None:
    """Show one provider; its credential is never shown."""
    request = GetProviderRequest(customer_id=customer, provider_id=provider)
    output.record(session, _plain(ProvidersServiceStub(session.channel()).GetProvider(request)))


@command(app, "update")
def update(
    session: Session,
    provider: Id,
    customer: Customer,
    name: NewName = None,
    base_url: BaseUrl = None,
    credential_stdin: CredentialStdin = False,
    no_credential: Annotated[bool, typer.Option("--no-credential", help="Forget the credential.")] = False,
    stored_key: StoredKey = None,
    disabled: Annotated[bool | None, typer.Option("--disabled/--enabled")] = None,
    direct: Direct = None,
    passthrough: Passthrough = None,
    grant: Grant = None,
    grant_all: GrantAllOr = None,
    grant_none: GrantNone = False,
    force: Force = False,
) -> None:
    """Change a provider."""
    if credential_stdin and no_credential:
        raise UsageProblem("--credential-stdin and --no-credential exclude each other")
    fields = changes(
        name=name,
        base_url=base_url,
        credential="" if no_credential else _credential(credential_stdin),
        stored_key_alias=stored_key,
        disabled=disabled,
        direct=direct,
        passthrough_paths=_paths(passthrough),
        **grants(session, grant, grant_all, grant_none),
    )
    request = UpdateProviderRequest(
        provider=Provider(provider_id=provider, customer_id=customer, **fields),
        update_mask=FieldMask(paths=list(fields)),
        force=force,
    )
    output.record(session, _plain(ProvidersServiceStub(session.channel()).UpdateProvider(request)))


@command(app, "delete")
def delete(session: Session, provider: Id, customer: Customer, force: Force = False) -> None:
    """Delete a provider and its own prices; with --force the routing rules that name it go too."""
    request = DeleteProviderRequest(customer_id=customer, provider_id=provider, force=force)
    output.record(session, _plain(ProvidersServiceStub(session.channel()).DeleteProvider(request)))


@command(app, "types")
def types(session: Session) -> None:
    """List the types of providers, and how each can be reached."""
    stub = ProvidersServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[ProviderType], str]:
        answer = stub.ListProviderTypes(ListProviderTypesRequest(page_size=page_size, page_token=page_token))
        return list(answer.provider_types), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, None)], TYPE_COLUMNS)


@command(app, "test")
def try_(
    session: Session,
    customer: Customer,
    provider: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A saved one; else give settings.")
    ] = None,
    provider_type: Annotated[str | None, typer.Option("--type", metavar="TYPE")] = None,
    base_url: BaseUrl = None,
    credential_stdin: CredentialStdin = False,
    stored_key: StoredKey = None,
    direct: Direct = None,
    model: Annotated[
        str, typer.Option("--model", help="Ask it for one model token of output, which may be billed.")
    ] = "",
) -> None:
    """Call the vendor as a request would, and show what comes back; fails when it doesn't work."""
    if (provider is None) == (provider_type is None):
        raise UsageProblem("name a saved provider, or settings with --type")
    request = TestProviderRequest(customer_id=customer, model=model)
    if provider is not None:
        request.provider_id = provider
    else:
        request.provider.CopyFrom(
            Provider(
                provider_type=provider_type,
                base_url=base_url or "",
                credential=_credential(credential_stdin) or "",
                stored_key_alias=stored_key or "",
                direct=bool(direct),
            )
        )
    answer = ProvidersServiceStub(session.channel()).TestProvider(request)
    output.record(session, plain(answer))
    if not answer.ok:
        raise TollkeeperError(Reason.ALL_PROVIDERS_FAILED, answer.message)


def _credential(from_stdin: bool) -> str | None:
    return secret(from_stdin, CREDENTIAL_VARIABLE, "Credential")


def _paths(given: list[str] | None) -> list[str] | None:
    return None if given is None else [path for path in given if path]


def _plain(provider: Provider) -> Plain:
    """Without the field that only goes in."""
    values = plain(provider)
    del values["credential"]
    return values
