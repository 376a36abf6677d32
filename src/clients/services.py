"""A typed stub for every service of the contract: calls that are awaited, or that block."""

import grpc
import grpc.aio

from tollkeeper.v1.api_tokens_pb2_grpc import ApiTokensServiceStub
from tollkeeper.v1.audit_pb2_grpc import AuditServiceStub
from tollkeeper.v1.budgets_pb2_grpc import BudgetsServiceStub
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub
from tollkeeper.v1.edge_pb2_grpc import EdgeServiceStub
from tollkeeper.v1.gateways_pb2_grpc import GatewaysServiceStub
from tollkeeper.v1.keys_pb2_grpc import KeysServiceStub
from tollkeeper.v1.models_pb2_grpc import ModelsServiceStub
from tollkeeper.v1.price_plans_pb2_grpc import PricePlansServiceStub
from tollkeeper.v1.prices_pb2_grpc import PricesServiceStub
from tollkeeper.v1.providers_pb2_grpc import ProvidersServiceStub
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub
from tollkeeper.v1.teams_pb2_grpc import TeamsServiceStub
from tollkeeper.v1.templates_pb2_grpc import TemplatesServiceStub
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub


class AsyncServices:
    """Stubs whose calls are awaited."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.api_tokens = ApiTokensServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.budgets = BudgetsServiceStub(channel)
        self.customers = CustomersServiceStub(channel)
        self.edge = EdgeServiceStub(channel)
        self.gateways = GatewaysServiceStub(channel)
        self.keys = KeysServiceStub(channel)
        self.models = ModelsServiceStub(channel)
        self.price_plans = PricePlansServiceStub(channel)
        self.prices = PricesServiceStub(channel)
        self.providers = ProvidersServiceStub(channel)
        self.routers = RoutersServiceStub(channel)
        self.sessions = SessionsServiceStub(channel)
        self.teams = TeamsServiceStub(channel)
        self.templates = TemplatesServiceStub(channel)
        self.usage = UsageServiceStub(channel)
        self.users = UsersServiceStub(channel)


class SyncServices:
    """The same stubs, whose calls block."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.api_tokens = ApiTokensServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.budgets = BudgetsServiceStub(channel)
        self.customers = CustomersServiceStub(channel)
        self.edge = EdgeServiceStub(channel)
        self.gateways = GatewaysServiceStub(channel)
        self.keys = KeysServiceStub(channel)
        self.models = ModelsServiceStub(channel)
        self.price_plans = PricePlansServiceStub(channel)
        self.prices = PricesServiceStub(channel)
        self.providers = ProvidersServiceStub(channel)
        self.routers = RoutersServiceStub(channel)
        self.sessions = SessionsServiceStub(channel)
        self.teams = TeamsServiceStub(channel)
        self.templates = TemplatesServiceStub(channel)
        self.usage = UsageServiceStub(channel)
        self.users = UsersServiceStub(channel)
