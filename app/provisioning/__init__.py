"""`flask --app wsgi provision FILE.yaml`: what a file names is created or updated, all of it or nothing.

product.md, "Outside in". One pass of reading (`tree`, `document`, `reading`), one of applying (`system`,
`tariffs`, `sites`, `users`), both adding to one list of mistakes, so that a file is mended in one go.
"""

from app.provisioning.apply import Provisioned, provision
from app.provisioning.mistakes import ProvisioningError

__all__ = ["Provisioned", "ProvisioningError", "provision"]
