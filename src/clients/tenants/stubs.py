"""The services that a tenants file is read from and applied through."""

import grpc

from tollkeeper.v1.budgets_pb2_grpc import BudgetsServiceStub
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub
from tollkeeper.v1.keys_pb2_grpc import KeysServiceStub
from tollkeeper.v1.providers_pb2_grpc import ProvidersServiceStub
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub
from tollkeeper.v1.teams_pb2_grpc import TeamsServiceStub
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub


class Stubs:
    """Blocking stubs over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.budgets = BudgetsServiceStub(channel)
        self.customers = CustomersServiceStub(channel)
        self.keys = KeysServiceStub(channel)
        self.providers = ProvidersServiceStub(channel)
        self.routers = RoutersServiceStub(channel)
        self.teams = TeamsServiceStub(channel)
        self.users = UsersServiceStub(channel)
