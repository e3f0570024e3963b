"""What an admin may do: one list of permissions, roles are sets of them.

A permission is ``section.resource.action``. Manual, "Admin Accounts" and "Partner Roles".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from flask import abort, has_request_context
from flask_login import current_user


class Permission(StrEnum):
    """Every permission there is. Views declare their resource; tests walk every route × role."""

    DASHBOARD_VIEW = "dashboard.home.view"
    LOCATION_VIEW = "assets.location.view"
    LOCATION_CREATE = "assets.location.create"
    LOCATION_EDIT = "assets.location.edit"
    LOCATION_DELETE = "assets.location.delete"
    LOCATION_EXPORT = "assets.location.export"
    ZONE_VIEW = "assets.charging_zone.view"
    ZONE_CREATE = "assets.charging_zone.create"
    ZONE_EDIT = "assets.charging_zone.edit"
    ZONE_DELETE = "assets.charging_zone.delete"
    ZONE_EXPORT = "assets.charging_zone.export"
    CHARGE_POINT_VIEW = "assets.charge_point.view"
    CHARGE_POINT_CREATE = "assets.charge_point.create"
    CHARGE_POINT_EDIT = "assets.charge_point.edit"
    CHARGE_POINT_DELETE = "assets.charge_point.delete"
    CHARGE_POINT_EXPORT = "assets.charge_point.export"
    CHARGE_POINT_COMMAND = "assets.charge_point.command"
    CHARGE_POINT_IMPORT = "assets.charge_point.import"
    CHARGE_POINT_RAW_COMMAND = "assets.charge_point.raw_command"
    CHARGE_POINT_SECRETS = "assets.charge_point.secrets"
    TEMPLATE_VIEW = "assets.cp_template.view"
    TEMPLATE_CREATE = "assets.cp_template.create"
    TEMPLATE_EDIT = "assets.cp_template.edit"
    TEMPLATE_DELETE = "assets.cp_template.delete"
    TEMPLATE_EXPORT = "assets.cp_template.export"
    NOTICE_VIEW = "assets.cp_notice.view"
    NOTICE_CREATE = "assets.cp_notice.create"
    NOTICE_EDIT = "assets.cp_notice.edit"
    NOTICE_DELETE = "assets.cp_notice.delete"
    NOTICE_EXPORT = "assets.cp_notice.export"
    LOCATION_IMAGE_VIEW = "assets.location_image.view"
    LOCATION_IMAGE_CREATE = "assets.location_image.create"
    LOCATION_IMAGE_EDIT = "assets.location_image.edit"
    LOCATION_IMAGE_DELETE = "assets.location_image.delete"
    LOCATION_IMAGE_EXPORT = "assets.location_image.export"
    TAG_VIEW = "assets.tag.view"
    TAG_CREATE = "assets.tag.create"
    TAG_EDIT = "assets.tag.edit"
    TAG_DELETE = "assets.tag.delete"
    TAG_EXPORT = "assets.tag.export"
    FIRMWARE_VIEW = "assets.firmware.view"
    FIRMWARE_CREATE = "assets.firmware.create"
    FIRMWARE_EDIT = "assets.firmware.edit"
    FIRMWARE_DELETE = "assets.firmware.delete"
    FIRMWARE_EXPORT = "assets.firmware.export"
    QUIRK_VIEW = "assets.quirk.view"
    QUIRK_EDIT = "assets.quirk.edit"
    QUIRK_EXPORT = "assets.quirk.export"
    DIAGNOSTICS_VIEW = "assets.diagnostics.view"
    DIAGNOSTICS_EXPORT = "assets.diagnostics.export"
    DIAGNOSTICS_DELETE = "assets.diagnostics.delete"
    TARIFF_VIEW = "tariffs.tariff.view"
    TARIFF_CREATE = "tariffs.tariff.create"
    TARIFF_EDIT = "tariffs.tariff.edit"
    TARIFF_DELETE = "tariffs.tariff.delete"
    TARIFF_EXPORT = "tariffs.tariff.export"
    TARIFF_GROUP_VIEW = "tariffs.tariff_group.view"
    TARIFF_GROUP_CREATE = "tariffs.tariff_group.create"
    TARIFF_GROUP_EDIT = "tariffs.tariff_group.edit"
    TARIFF_GROUP_DELETE = "tariffs.tariff_group.delete"
    TARIFF_GROUP_EXPORT = "tariffs.tariff_group.export"
    TOP_UP_PACKAGE_VIEW = "tariffs.top_up_package.view"
    TOP_UP_PACKAGE_CREATE = "tariffs.top_up_package.create"
    TOP_UP_PACKAGE_EDIT = "tariffs.top_up_package.edit"
    TOP_UP_PACKAGE_DELETE = "tariffs.top_up_package.delete"
    TOP_UP_PACKAGE_EXPORT = "tariffs.top_up_package.export"
    VOUCHER_VIEW = "tariffs.voucher.view"
    VOUCHER_CREATE = "tariffs.voucher.create"
    VOUCHER_EDIT = "tariffs.voucher.edit"
    VOUCHER_EXPORT = "tariffs.voucher.export"
    SESSION_VIEW = "activity.charging_session.view"
    SESSION_EXPORT = "activity.charging_session.export"
    SESSION_STOP = "activity.charging_session.stop"
    SESSION_ASSIGN_USER = "activity.charging_session.assign_user"
    SESSION_CHANGE_TARIFF = "activity.charging_session.change_tariff"
    SESSION_CREDIT = "activity.charging_session.credit"
    RESERVATION_VIEW = "activity.reservation.view"
    RESERVATION_EXPORT = "activity.reservation.export"
    AUTHORIZATION_VIEW = "activity.authorization.view"
    AUTHORIZATION_EXPORT = "activity.authorization.export"
    ACTION_VIEW = "activity.action.view"
    ACTION_EXPORT = "activity.action.export"
    TRANSACTION_VIEW = "payments.transaction.view"
    TRANSACTION_EXPORT = "payments.transaction.export"
    TRANSACTION_REFUND = "payments.transaction.refund"
    TRANSACTION_RETRY = "payments.transaction.retry"
    USER_VIEW = "crm.user.view"
    USER_CREATE = "crm.user.create"
    USER_EDIT = "crm.user.edit"
    USER_DELETE = "crm.user.delete"
    USER_EXPORT = "crm.user.export"
    USER_IMPORT = "crm.user.import"
    USER_CHANGE_STATUS = "crm.user.change_status"
    USER_ADD_BALANCE = "crm.user.add_balance"
    USER_PAYMENT_METHODS = "crm.user.payment_methods"
    RECEIPT_VIEW = "crm.receipt.view"
    RECEIPT_CREATE = "crm.receipt.create"
    RECEIPT_EXPORT = "crm.receipt.export"
    RECEIPT_SEND = "crm.receipt.send"
    USER_GROUP_VIEW = "crm.user_group.view"
    USER_GROUP_CREATE = "crm.user_group.create"
    USER_GROUP_EDIT = "crm.user_group.edit"
    USER_GROUP_DELETE = "crm.user_group.delete"
    USER_GROUP_EXPORT = "crm.user_group.export"
    RFID_TAG_VIEW = "crm.rfid_tag.view"
    RFID_TAG_CREATE = "crm.rfid_tag.create"
    RFID_TAG_EDIT = "crm.rfid_tag.edit"
    RFID_TAG_DELETE = "crm.rfid_tag.delete"
    RFID_TAG_EXPORT = "crm.rfid_tag.export"
    PARTNER_VIEW = "crm.partner.view"
    PARTNER_CREATE = "crm.partner.create"
    PARTNER_EDIT = "crm.partner.edit"
    PARTNER_DELETE = "crm.partner.delete"
    PARTNER_EXPORT = "crm.partner.export"
    TERMS_VIEW = "content.terms.view"
    TERMS_CREATE = "content.terms.create"
    TERMS_EDIT = "content.terms.edit"
    TERMS_DELETE = "content.terms.delete"
    TERMS_EXPORT = "content.terms.export"
    FAQ_VIEW = "content.faq.view"
    FAQ_CREATE = "content.faq.create"
    FAQ_EDIT = "content.faq.edit"
    FAQ_DELETE = "content.faq.delete"
    FAQ_EXPORT = "content.faq.export"
    CONTACT_VIEW = "content.contact.view"
    CONTACT_EDIT = "content.contact.edit"
    ADMIN_VIEW = "configuration.admin.view"
    ADMIN_CREATE = "configuration.admin.create"
    ADMIN_EDIT = "configuration.admin.edit"
    ADMIN_DELETE = "configuration.admin.delete"
    ADMIN_EXPORT = "configuration.admin.export"
    ROLE_VIEW = "configuration.role.view"
    ROLE_CREATE = "configuration.role.create"
    ROLE_EDIT = "configuration.role.edit"
    ROLE_DELETE = "configuration.role.delete"
    ROLE_EXPORT = "configuration.role.export"
    SETTING_VIEW = "configuration.setting.view"
    SETTING_EDIT = "configuration.setting.edit"
    MAIL_VIEW = "configuration.mail.view"
    MAIL_EXPORT = "configuration.mail.export"
    MAIL_EDIT = "configuration.mail.edit"
    MAIL_TEMPLATE_VIEW = "configuration.mail_template.view"
    MAIL_TEMPLATE_EDIT = "configuration.mail_template.edit"
    SMS_VIEW = "configuration.sms.view"
    SMS_EXPORT = "configuration.sms.export"
    SMS_EDIT = "configuration.sms.edit"
    INTEGRATION_VIEW = "configuration.integration.view"
    INTEGRATION_EDIT = "configuration.integration.edit"
    AUDIT_VIEW = "configuration.audit.view"
    AUDIT_EXPORT = "configuration.audit.export"
    COMPANY_VIEW = "configuration.company.view"
    COMPANY_EDIT = "configuration.company.edit"
    API_TOKEN_VIEW = "configuration.api_token.view"  # noqa: S105
    API_TOKEN_CREATE = "configuration.api_token.create"  # noqa: S105
    API_TOKEN_DELETE = "configuration.api_token.delete"  # noqa: S105
    VAT_VIEW = "configuration.vat.view"
    VAT_CREATE = "configuration.vat.create"
    VAT_EDIT = "configuration.vat.edit"
    VAT_DELETE = "configuration.vat.delete"
    VAT_EXPORT = "configuration.vat.export"
    CURRENCY_VIEW = "configuration.currency.view"
    CURRENCY_CREATE = "configuration.currency.create"
    CURRENCY_EDIT = "configuration.currency.edit"
    CURRENCY_DELETE = "configuration.currency.delete"
    CURRENCY_EXPORT = "configuration.currency.export"

    @property
    def section(self) -> str:
        """The menu section the permission belongs to."""
        return self.value.split(".", 1)[0]


SUPER_USER = frozenset(Permission)
OPERATOR = frozenset(p for p in Permission if not p.startswith(("configuration.admin.", "configuration.role.")))
#: who looks at sessions moves no money for them
_CORRECTIONS = (Permission.SESSION_ASSIGN_USER, Permission.SESSION_CHANGE_TARIFF, Permission.SESSION_CREDIT)
ANALYST = frozenset(p for p in Permission if p.section in ("activity", "analytics") and p not in _CORRECTIONS)

#: what a partner's admins may be allowed at all: pages that show a partner its own rows (manual, "Partner Roles")
PARTNER_GRANTABLE = frozenset(
    {
        Permission.DASHBOARD_VIEW,
        Permission.AUTHORIZATION_VIEW,
        Permission.AUTHORIZATION_EXPORT,
        Permission.SESSION_VIEW,
        Permission.SESSION_EXPORT,
        Permission.SESSION_STOP,
        Permission.RESERVATION_VIEW,
        Permission.RESERVATION_EXPORT,
        Permission.TRANSACTION_VIEW,
        Permission.TRANSACTION_EXPORT,
        Permission.CHARGE_POINT_VIEW,
        Permission.CHARGE_POINT_EXPORT,
        Permission.CHARGE_POINT_COMMAND,
        Permission.ZONE_VIEW,
        Permission.ZONE_EXPORT,
        Permission.LOCATION_VIEW,
        Permission.LOCATION_EXPORT,
        Permission.ADMIN_VIEW,
        Permission.ADMIN_CREATE,
        Permission.ADMIN_EDIT,
        Permission.ADMIN_DELETE,
        Permission.COMPANY_VIEW,
        Permission.COMPANY_EDIT,
    }
)
PARTNER_ANALYST = frozenset(
    {
        Permission.DASHBOARD_VIEW,
        Permission.AUTHORIZATION_VIEW,
        Permission.SESSION_VIEW,
        Permission.RESERVATION_VIEW,
        Permission.TRANSACTION_VIEW,
    }
)
PARTNER_OPERATOR = PARTNER_ANALYST | {
    Permission.CHARGE_POINT_VIEW,
    Permission.CHARGE_POINT_COMMAND,
    Permission.SESSION_STOP,  # a part of remote control
    Permission.ZONE_VIEW,
    Permission.LOCATION_VIEW,
}
PARTNER_OWNER = PARTNER_OPERATOR | {
    Permission.ADMIN_VIEW,
    Permission.ADMIN_CREATE,
    Permission.ADMIN_EDIT,
    Permission.ADMIN_DELETE,
    Permission.COMPANY_VIEW,
    Permission.COMPANY_EDIT,
}

#: name → permissions of the roles every system has (manual, "Admin Accounts"). They cannot be edited.
STAFF_ROLES: dict[str, frozenset[Permission]] = {
    "Super User": SUPER_USER,
    "Operator": OPERATOR,
    "Analyst": ANALYST,
}
#: the same for admins of partners (manual, "Partner Roles")
PARTNER_ROLES: dict[str, frozenset[Permission]] = {
    "Partner Owner": PARTNER_OWNER,
    "Partner Operator": PARTNER_OPERATOR,
    "Partner Analyst": PARTNER_ANALYST,
}
BUILT_IN_ROLES = {**STAFF_ROLES, **PARTNER_ROLES}


def can(permission: str | Permission) -> bool:
    """Whether the signed-in admin holds a permission. Raises ValueError for one that does not exist."""
    wanted = Permission(permission)
    return bool(has_request_context() and current_user.is_authenticated and wanted in current_user.permissions)


def require(permission: str | Permission) -> None:
    """Abort with 401 or 403 unless the signed-in admin holds the permission."""
    if can(permission):
        return
    abort(403 if current_user.is_authenticated else 401)


def known(values: Iterable[str]) -> frozenset[Permission]:
    """Stored names as permissions; names of an older version that no longer exist are left out."""
    existing = {p.value for p in Permission}
    return frozenset(Permission(v) for v in values if v in existing)
