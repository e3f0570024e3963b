"""Money: balances, transactions, payment methods, vouchers and receipts. One aggregate per file."""

from app.billing.models.ledger import BalanceAccount, LedgerEntry, LedgerEntryType
from app.billing.models.payment_methods import (
    PaymentMethod,
    PaymentMethodSetup,
    PaymentMethodStatus,
    ProcessorCustomer,
)
from app.billing.models.receipts import Receipt, ReceiptCounter, ReceiptKind, ReceiptLine
from app.billing.models.transactions import (
    ProcessorNews,
    TestProcessorRecord,
    Transaction,
    TransactionEvent,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.models.vouchers import AutoTopUp, TopUpPackage, Voucher, VoucherStatus, VoucherType

__all__ = [
    "AutoTopUp",
    "BalanceAccount",
    "LedgerEntry",
    "LedgerEntryType",
    "PaymentMethod",
    "PaymentMethodSetup",
    "PaymentMethodStatus",
    "ProcessorCustomer",
    "ProcessorNews",
    "Receipt",
    "ReceiptCounter",
    "ReceiptKind",
    "ReceiptLine",
    "TestProcessorRecord",
    "TopUpPackage",
    "Transaction",
    "TransactionEvent",
    "TransactionPurpose",
    "TransactionStatus",
    "TransactionType",
    "Voucher",
    "VoucherStatus",
    "VoucherType",
]
