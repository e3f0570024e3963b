"""What an operator can do about a refused authorization: one sentence per reject reason, where to go, and there."""

from __future__ import annotations

from app.charging.authorize import RejectReason

ADVICE = {
    RejectReason.CHARGE_POINT_NOT_IN_SERVICE: "Set the charge point’s system status to Active when it may be used.",
    RejectReason.ZONE_NOT_IN_SERVICE: "Set the charging zone’s status to Active when it may be used.",
    RejectReason.EVSE_NOT_IN_SERVICE: "Set the EVSE’s status to Active when it may be used.",
    RejectReason.CONNECTORS_NOT_IN_SERVICE: "Set a connector of the EVSE to Active when it may be used.",
    RejectReason.TAG_UNKNOWN: "Register the RFID tag for its owner; the next tap is accepted.",
    RejectReason.TAG_DISABLED: "Set the RFID tag’s status to Active if its owner may use it again.",
    RejectReason.TAG_EXPIRED: "Give the RFID tag another expiry date, or hand out a new one.",
    RejectReason.USER_UNKNOWN: "Create the user, or register the RFID tag for another one.",
    RejectReason.USER_DISABLED: "Activate the user’s account with its action Change status.",
    RejectReason.NOT_INVITED: "The owner of the private charge point has to invite the user.",
    RejectReason.ALREADY_CHARGING: "Stop the user’s running session, or allow several at once in Settings.",
    RejectReason.RESERVED_FOR_ANOTHER: "Cancel the reservation, or send the driver to another EVSE.",
    RejectReason.OUTSTANDING_AMOUNT: "Have the amount paid: retry the payment, or top up the balance.",
    RejectReason.NO_TARIFF_GROUP: "Give the EVSE a tariff group: without one no paid session can start.",
    RejectReason.PAYMENT_METHOD_REQUIRED: "The driver has to add a payment method; its address can be sent.",
    RejectReason.PREAUTHORIZATION_MISSING: "Tap again. If it stays so, test the payment processor in Integrations.",
    RejectReason.PREAUTHORIZATION_DECLINED: "The driver has to use another payment method.",
    RejectReason.PAYMENT_METHOD_OR_BALANCE_REQUIRED: "The driver has to add a payment method or top up the balance.",
    RejectReason.BALANCE_BELOW_MINIMUM: "Top up the balance, or lower the minimum in Settings or in the tariff.",
    RejectReason.CORPORATE_BILLING_NOT_ALLOWED: "The partner has to allow the user to bill its account.",
    RejectReason.CORPORATE_LIMIT_REACHED: "The partner has to raise the limit, or the driver pays otherwise.",
}


def advice_of(reason: str | None) -> str:
    """What to do about a stored reject reason; empty where there is none, or one that nobody knows any more."""
    return ADVICE[RejectReason(reason)] if reason in set(RejectReason) else ""
