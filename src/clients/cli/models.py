"""`tollkeeper models`: models that Cloudflare offers, and models that were asked for."""

from clients.cli import output
from clients.cli.commands import command, noun
from clients.cli.options import AnyCustomer, Limit
from clients.cli.plain import plain
from clients.cli.session import Session, collect
from tollkeeper.v1.models_pb2 import GetCloudflareModelsRequest
from tollkeeper.v1.models_pb2_grpc import ModelsServiceStub
from tollkeeper.v1.prices_pb2 import ListMissingModelsRequest, MissingModel
from tollkeeper.v1.prices_pb2_grpc import PricesServiceStub

app = noun()

COLUMNS = {"model": "MODEL", "request_count": "REQUESTS", "last_seen_time": "LAST SEEN"}

OFFERED = {"name": "MODEL", "task": "TASK", "description": "DESCRIPTION"}


@command(app, "list")
def list_(session: Session) -> None:
    """List the models that Cloudflare itself offers."""
    stub = ModelsServiceStub(session.channel())
    models = stub.GetCloudflareModels(GetCloudflareModelsRequest()).models
    output.listing(session, [plain(model) for model in models], OFFERED)


@command(app, "missing")
def missing(session: Session, customer: AnyCustomer = None, limit: Limit = None) -> None:
    """List models that were asked for and have no price."""
    stub = PricesServiceStub(session.channel())

    def page(page_size: int, page_token: str) -> tuple[list[MissingModel], str]:
        request = ListMissingModelsRequest(
            customer_id=customer or "", page_size=page_size, page_token=page_token
        )
        answer = stub.ListMissingModels(request)
        return list(answer.models), answer.next_page_token

    output.listing(session, [plain(each) for each in collect(page, limit)], COLUMNS)
