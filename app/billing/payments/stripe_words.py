"""What Stripe's numbers and codes mean: amounts in its minor units, refusals in plain words. Pure."""

from __future__ import annotations

from decimal import Decimal

#: amounts without decimals, at Stripe
_WITHOUT_DECIMALS = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # noqa: SIM905 (a list to compare with)
)
#: three decimals, the last of which must be 0
_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
#: said with two decimals, which must be 00: Stripe keeps the form from before these currencies lost them
_WHOLE_IN_TWO = frozenset({"ISK", "UGX"})

#: by decline code, else error code: what the operator should know or tell the driver
_REFUSALS = {
    "amount_too_large": "The amount is larger than Stripe takes.",
    "amount_too_small": "The amount is smaller than Stripe takes in this currency.",
    "approve_with_id": "The bank could not be asked. Try again later.",
    "card_not_supported": "The card does not allow this kind of payment.",
    "card_velocity_exceeded": "The card's limit is used up.",
    "charge_already_captured": "It was captured already.",
    "charge_already_refunded": "It was refunded already.",
    "charge_expired_for_capture": "The blocked amount has expired: the bank has released it.",
    "currency_not_supported": "The card does not take this currency.",
    "do_not_honor": "The bank declined without saying why. The driver should ask the bank.",
    "expired_card": "The card has expired.",
    "fraudulent": "Stripe declined: it suspects fraud.",
    "generic_decline": "The bank declined without saying why. The driver should ask the bank.",
    "incorrect_cvc": "The security code is wrong.",
    "incorrect_number": "The card number is wrong.",
    "insufficient_funds": "There is not enough money on the card.",
    "invalid_account": "The card's account does not exist any more.",
    "issuer_not_available": "The bank could not be asked. Try again later.",
    "lost_card": "The bank declined. The driver should use another card.",
    "new_account_information_available": "The card has been replaced. The driver should enter the new one.",
    "pickup_card": "The bank declined. The driver should use another card.",
    "processing_error": "An error at Stripe or the bank. Try again later.",
    "resource_missing": "Stripe does not know the payment method or payment (any more).",
    "restricted_card": "The bank declined. The driver should use another card.",
    "stolen_card": "The bank declined. The driver should use another card.",
    "transaction_not_allowed": "The bank does not allow this payment. The driver should ask the bank.",
    "try_again_later": "The bank declined for now. Try again later.",
    "withdrawal_count_limit_exceeded": "The card's limit is used up.",
}
AUTHENTICATE = "The bank asks the driver to authenticate. The driver has to pay with the card present, or use another."
_DECLINED = "The card was declined."


class AmountNotPayable(ValueError):
    """Stripe cannot move exactly this amount; the message says which it could."""


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount as Stripe counts it: 5.32 EUR is 532, 500 JPY is 500, 5 ISK is 500. Raises AmountNotPayable.

    Nothing is rounded: what is booked here and what is charged there are the same. Stripe, "Supported currencies".
    """
    decimals, step = 2, 1
    if currency in _WITHOUT_DECIMALS:
        decimals = 0
    elif currency in _THREE_DECIMALS:
        decimals, step = 3, 10
    elif currency in _WHOLE_IN_TWO:
        step = 100
    units = amount.scaleb(decimals)
    if units != units.to_integral_value() or int(units) % step:
        possible = {(2, 1): "two decimals", (0, 1): "whole amounts", (3, 10): "two decimals"}.get(
            (decimals, step), "whole amounts"
        )
        raise AmountNotPayable(
            f"Stripe takes {currency} with {possible} only, not {amount:f}: set the decimals of {currency} in "
            "CONFIGURATION > Currencies accordingly."
        )
    return int(units)


def refusal(*, decline_code: str | None, code: str | None, message: str | None) -> str:
    """Why not, in words. A text of Stripe's is kept where the code says nothing to us."""
    for each in (decline_code, code):
        if each in _REFUSALS:
            return _REFUSALS[each]
    if code == "card_declined" or not message:
        return _DECLINED
    return message
