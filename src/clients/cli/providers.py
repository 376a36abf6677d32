"""`tollkeeper providers`: vendor credentials."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from clients.cli import output
from clients.cli.commands import changes, command, noun
from clients.cli.failures import UsageProblem
from clients.cli.options import Customer, Force, Id, Limit, Name, NewName, secret
from clients.cli.plain import Plain, plain
from clients.cli.session import Session, collect
from tollkeeper.v1.providers_pb2 import (
    CreateProviderRequest,
    DeleteProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
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
}
CREDENTIAL_VARIABLE = "TOLLKEEPER_PROVIDER_CREDENTIAL"

BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Needed for the type `custom`.")
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
    provider_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="openai, google, anthropic, custom, ...")
    ],
    base_url: BaseUrl = None,
    credential_stdin: CredentialStdin = False,
    stored_key: StoredKey = None,
) -> None:
    """Create a provider; without credential or stored key Cloudflare bills the vendor's use."""
    provider = Provider(
        customer_id=customer,
        name=name,
        provider_type=provider_type,
        base_url=base_url or "",
        credential=_credential(credential_stdin) or "",
        stored_key_alias=stored_key or "",
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
    )
    request = UpdateProviderRequest(
        provider=Provider(provider_id=provider, customer_id=customer, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    output.record(session, _plain(ProvidersServiceStub(session.channel()).UpdateProvider(request)))


@command(app, "delete")
def delete(session: Session, provider: Id, customer: Customer, force: Force = False) -> None:
    """Delete a provider; with --force the routing rules that name it go too."""
    request = DeleteProviderRequest(customer_id=customer, provider_id=provider, force=force)
    output.record(session, _plain(ProvidersServiceStub(session.channel()).DeleteProvider(request)))


def _credential(from_stdin: bool) -> str | None:
    return secret(from_stdin, CREDENTIAL_VARIABLE, "Credential")


def _plain(provider: Provider) -> Plain:
    """Without the field that only goes in."""
    values = plain(provider)
    del values["credential"]
    return values
