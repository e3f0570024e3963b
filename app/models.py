"""Every table, imported once: for migrations and for mappers that name one another."""

from app.analytics import models as analytics
from app.assets import models as assets
from app.billing import models as billing
from app.charging import models as charging
from app.content import models as content
from app.core import account_models as accounts
from app.core import models as core
from app.crm import models as crm
from app.exports import models as exports
from app.partners import models as partners
from app.search import models as search
from app.tariffs import models as tariffs

__all__ = [
    "accounts",
    "analytics",
    "assets",
    "billing",
    "charging",
    "content",
    "core",
    "crm",
    "exports",
    "partners",
    "search",
    "tariffs",
]
