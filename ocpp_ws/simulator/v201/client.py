"""The OCPP 2.0.1 end of a simulated station: the `ocpp` package's ChargePoint, answering for a `Station`.

What has no method here is answered NotImplemented by the package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.enums import Action

from ocpp_ws.simulator import reserving
from ocpp_ws.simulator.conversation import Conversation, after_answer, answers
from ocpp_ws.simulator.evse import Evse
from ocpp_ws.simulator.quirks import stamp
from ocpp_ws.simulator.v201 import device_model, smart_charging
from ocpp_ws.simulator.v201.payloads import CONNECTOR_ID

_WITH_EVSE = ("StatusNotification", "MeterValues", "TransactionEvent")


class SimulatedChargingStation(Conversation, ChargePoint):  # type: ignore[misc]  # the package has no types
    """One connection of one station."""

    # Charging -------------------------------------------------------------------------------------

    @answers(Action.request_start_transaction)
    def on_request_start(
        self, id_token: dict[str, Any], remote_start_id: int, evse_id: int | None = None, **_: Any
    ) -> Any:
        status = self._station.remote_start(id_token["id_token"], evse_id, remote_start_id)
        return call_result.RequestStartTransaction(status=status)

    @answers(Action.request_stop_transaction)
    def on_request_stop(self, transaction_id: str, **_: Any) -> Any:
        return call_result.RequestStopTransaction(status=self._station.remote_stop(transaction_id))

    @answers(Action.get_transaction_status)
    def on_get_transaction_status(self, transaction_id: str | None = None, **_: Any) -> Any:
        """Whether messages wait here of this transaction, or of any (E14)."""
        station = self._station
        waiting = station.outbox.lasting_count > 0
        if transaction_id is None:
            return call_result.GetTransactionStatus(messages_in_queue=waiting)
        runs = any(evse.transaction_id == transaction_id for evse in station.evses.values())
        return call_result.GetTransactionStatus(messages_in_queue=waiting, ongoing_indicator=runs)

    @answers(Action.cost_updated)
    def on_cost_updated(self, total_cost: float, transaction_id: str, **_: Any) -> Any:
        for evse in self._station.evses.values():
            if evse.transaction_id == transaction_id:
                evse.shown_cost = float(total_cost)
        return call_result.CostUpdated()

    @answers(Action.unlock_connector)
    async def on_unlock_connector(self, evse_id: int, connector_id: int, **_: Any) -> Any:
        """What charges for somebody stays locked (F05)."""
        evse = self._station.evses.get(evse_id)
        if evse is None or connector_id != CONNECTOR_ID:
            return call_result.UnlockConnector(status="UnknownConnector")
        if evse.charge is not None:
            return call_result.UnlockConnector(status="OngoingAuthorizedTransaction")
        return call_result.UnlockConnector(status="Unlocked" if self._station.make.unlocks else "UnlockFailed")

    # The station as a whole -----------------------------------------------------------------------

    @answers(Action.reset)
    def on_reset(self, type: str, evse_id: int | None = None, **_: Any) -> Any:
        """Only the whole station can be reset (B11, B12)."""
        station = self._station
        if evse_id is not None:
            return call_result.Reset(status="Rejected")
        if type == "Immediate":
            after_answer(lambda: station.order_reset(hard=False))
            return call_result.Reset(status="Accepted")
        busy = any(evse.charge is not None for evse in station.evses.values())
        after_answer(lambda: station.soon(station.reset_when_idle()))
        return call_result.Reset(status="Scheduled" if busy else "Accepted")

    @answers(Action.change_availability)
    def on_change_availability(self, operational_status: str, evse: dict[str, Any] | None = None, **_: Any) -> Any:
        number = evse["id"] if evse else 0
        outcome = self._station.change_availability(number, operative=operational_status == "Operative")
        return call_result.ChangeAvailability(status=outcome)

    @answers(Action.trigger_message)
    def on_trigger_message(self, requested_message: str, evse: dict[str, Any] | None = None, **_: Any) -> Any:
        station, number = self._station, evse["id"] if evse else None
        action = station.triggered(requested_message, number)
        if requested_message == "TransactionEvent":
            running = [one for one in station.evses.values() if one.charge and number in (None, one.network_id)]
            action = (lambda: self._measure(running)) if running else None
        if action is None:
            status = "Rejected" if requested_message in _WITH_EVSE else "NotImplemented"
            return call_result.TriggerMessage(status=status)
        after_answer(action)
        return call_result.TriggerMessage(status="Accepted")

    def _measure(self, evses: list[Evse]) -> None:
        for evse in evses:
            self._station.send_meter_values(evse, "Trigger")

    @answers(Action.clear_cache)
    def on_clear_cache(self, **_: Any) -> Any:
        self._station.known_tags.clear()
        return call_result.ClearCache(status="Accepted")

    @answers(Action.set_network_profile)
    def on_set_network_profile(self, **_: Any) -> Any:
        return call_result.SetNetworkProfile(status="Accepted")

    @answers(Action.set_display_message)
    def on_set_display_message(self, **_: Any) -> Any:
        return call_result.SetDisplayMessage(status="Accepted")

    @answers(Action.data_transfer)
    def on_data_transfer(self, vendor_id: str, message_id: str | None = None, **_: Any) -> Any:
        if vendor_id != self._station.make.vendor:
            return call_result.DataTransfer(status="UnknownVendorId")
        if message_id != "Ping":
            return call_result.DataTransfer(status="UnknownMessageId")
        return call_result.DataTransfer(status="Accepted", data="Pong")

    # The device model -----------------------------------------------------------------------------

    @answers(Action.get_variables)
    def on_get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        results = [device_model.get(self._station, asked) for asked in get_variable_data]
        return call_result.GetVariables(get_variable_result=results)

    @answers(Action.set_variables)
    def on_set_variables(self, set_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        results = [device_model.change(self._station, asked) for asked in set_variable_data]
        return call_result.SetVariables(set_variable_result=results)

    @answers(Action.get_base_report)
    def on_get_base_report(self, request_id: int, report_base: str, **_: Any) -> Any:
        found = device_model.base_report(self._station, report_base)
        after_answer(lambda: self._report(request_id, found))
        return call_result.GetBaseReport(status="Accepted")

    @answers(Action.get_report)
    def on_get_report(
        self,
        request_id: int,
        component_variable: list[dict[str, Any]] | None = None,
        component_criteria: list[str] | None = None,
        **_: Any,
    ) -> Any:
        found = device_model.chosen_report(self._station, component_variable, component_criteria)
        if not found:
            return call_result.GetReport(status="EmptyResultSet")
        after_answer(lambda: self._report(request_id, found))
        return call_result.GetReport(status="Accepted")

    def _report(self, request_id: int, found: list[device_model.Variable]) -> None:
        """NotifyReport in two parts, or one where there is little."""
        half = (len(found) + 1) // 2
        parts = [part for part in (found[:half], found[half:]) if part]
        at = stamp(datetime.now(UTC), self._station.make.quirks.timestamps)
        for number, part in enumerate(parts):
            self._station.tell(
                call.NotifyReport(
                    request_id=request_id,
                    generated_at=at,
                    seq_no=number,
                    report_data=[each.reported() for each in part],
                    tbc=number < len(parts) - 1,
                )
            )

    # Lists and reservations -----------------------------------------------------------------------

    @answers(Action.send_local_list)
    def on_send_local_list(
        self,
        version_number: int,
        update_type: str,
        local_authorization_list: list[dict[str, Any]] | None = None,
        **_: Any,
    ) -> Any:
        entries = [_listed(entry) for entry in local_authorization_list or []]
        return call_result.SendLocalList(status=self._station.local_list.update(version_number, update_type, entries))

    @answers(Action.get_local_list_version)
    def on_get_local_list_version(self, **_: Any) -> Any:
        return call_result.GetLocalListVersion(version_number=self._station.local_list.version)

    @answers(Action.reserve_now)
    def on_reserve_now(
        self,
        id: int,
        expiry_date_time: str,
        id_token: dict[str, Any],
        evse_id: int | None = None,
        group_id_token: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """The EVSE that is named, or the first that can be reserved."""
        station = self._station
        parent = group_id_token["id_token"] if group_id_token else None
        status = "Rejected"
        for number in [evse_id] if evse_id is not None else list(station.evses):
            status = reserving.reserve(
                station,
                number,
                number=id,
                id_tag=id_token["id_token"],
                parent=parent,
                expires_at=expiry_date_time,
            )
            if status == "Accepted":
                after_answer(partial(station.report_status, station.evses[number]))
                break
        return call_result.ReserveNow(status=status)

    @answers(Action.cancel_reservation)
    def on_cancel_reservation(self, reservation_id: int, **_: Any) -> Any:
        evse = reserving.cancel(self._station, reservation_id)
        if evse is None:
            return call_result.CancelReservation(status="Rejected")
        after_answer(lambda: self._station.report_status(evse))
        return call_result.CancelReservation(status="Accepted")

    # Smart charging -------------------------------------------------------------------------------

    @answers(Action.set_charging_profile)
    def on_set_charging_profile(self, evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
        status = self._station.set_charging_profile(evse_id, smart_charging.planned(charging_profile))
        return call_result.SetChargingProfile(status=status)

    @answers(Action.clear_charging_profile)
    def on_clear_charging_profile(
        self, charging_profile_id: int | None = None, charging_profile_criteria: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        criteria = charging_profile_criteria or {}
        status = self._station.plans.clear(
            charging_profile_id,
            criteria.get("evse_id"),
            smart_charging.planned_purpose(criteria.get("charging_profile_purpose")),
            criteria.get("stack_level"),
        )
        return call_result.ClearChargingProfile(status=status)

    @answers(Action.get_charging_profiles)
    def on_get_charging_profiles(
        self, request_id: int, charging_profile: dict[str, Any], evse_id: int | None = None, **_: Any
    ) -> Any:
        reports = smart_charging.reports(self._station, request_id, evse_id, charging_profile)
        if not reports:
            return call_result.GetChargingProfiles(status="NoProfiles")
        for report in reports:
            after_answer(partial(self._station.tell, report))
        return call_result.GetChargingProfiles(status="Accepted")

    @answers(Action.get_composite_schedule)
    def on_get_composite_schedule(
        self, duration: int, evse_id: int, charging_rate_unit: str | None = None, **_: Any
    ) -> Any:
        found = self._station.composite_schedule(evse_id, duration, charging_rate_unit or "W")
        if found is None:
            return call_result.GetCompositeSchedule(status="Rejected")
        starts, schedule = found
        return call_result.GetCompositeSchedule(
            status="Accepted", schedule={**schedule, "evse_id": evse_id, "schedule_start": starts}
        )


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    """An AuthorizationData as the local list keeps it."""
    info = entry.get("id_token_info")
    kept: dict[str, Any] = {"id_tag": entry["id_token"]["id_token"]}
    if info is not None:
        kept["id_tag_info"] = {"status": info["status"], "expiry_date": info.get("cache_expiry_date_time")}
    return kept
