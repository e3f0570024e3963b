"""The OCPP 1.6J end of a simulated station: the `ocpp` package's ChargePoint, answering for a `Station`."""

from __future__ import annotations

from typing import Any

from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action

from ocpp_ws.simulator import reserving
from ocpp_ws.simulator.conversation import Conversation, after_answer, answers


class SimulatedChargePoint(Conversation, ChargePoint):  # type: ignore[misc]  # the package has no types
    """One connection of one station."""

    # What the server may ask ----------------------------------------------------------------------

    @answers(Action.remote_start_transaction)
    def on_remote_start(self, id_tag: str, connector_id: int | None = None, **_: Any) -> Any:
        return call_result.RemoteStartTransaction(status=self._station.remote_start(id_tag, connector_id))

    @answers(Action.remote_stop_transaction)
    def on_remote_stop(self, transaction_id: int, **_: Any) -> Any:
        return call_result.RemoteStopTransaction(status=self._station.remote_stop(transaction_id))

    @answers(Action.reset)
    def on_reset(self, type: str, **_: Any) -> Any:
        after_answer(lambda: self._station.order_reset(hard=type == "Hard"))
        return call_result.Reset(status="Accepted")

    @answers(Action.change_availability)
    def on_change_availability(self, connector_id: int, type: str, **_: Any) -> Any:
        outcome = self._station.change_availability(connector_id, operative=type == "Operative")
        return call_result.ChangeAvailability(status=outcome)

    @answers(Action.unlock_connector)
    async def on_unlock_connector(self, connector_id: int, **_: Any) -> Any:
        return call_result.UnlockConnector(status=await self._station.unlock(connector_id))

    @answers(Action.reserve_now)
    def on_reserve_now(
        self,
        connector_id: int,
        expiry_date: str,
        id_tag: str,
        reservation_id: int,
        parent_id_tag: str | None = None,
        **_: Any,
    ) -> Any:
        station = self._station
        status = reserving.reserve(
            station, connector_id, number=reservation_id, id_tag=id_tag, parent=parent_id_tag, expires_at=expiry_date
        )
        if status == "Accepted":
            after_answer(lambda: station.report_status(station.evses[connector_id]))
        return call_result.ReserveNow(status=status)

    @answers(Action.cancel_reservation)
    def on_cancel_reservation(self, reservation_id: int, **_: Any) -> Any:
        evse = reserving.cancel(self._station, reservation_id)
        if evse is None:
            return call_result.CancelReservation(status="Rejected")
        after_answer(lambda: self._station.report_status(evse))
        return call_result.CancelReservation(status="Accepted")

    @answers(Action.trigger_message)
    def on_trigger_message(self, requested_message: str, connector_id: int | None = None, **_: Any) -> Any:
        action = self._station.triggered(requested_message, connector_id)
        if action is None:
            return call_result.TriggerMessage(status="NotImplemented")
        after_answer(action)
        return call_result.TriggerMessage(status="Accepted")

    @answers(Action.change_configuration)
    def on_change_configuration(self, key: str, value: str, **_: Any) -> Any:
        return call_result.ChangeConfiguration(status=self._station.change_configuration(key, value))

    @answers(Action.get_configuration)
    def on_get_configuration(self, key: list[str] | None = None, **_: Any) -> Any:
        known, unknown = self._station.configuration.report(key)
        return call_result.GetConfiguration(configuration_key=known, unknown_key=unknown or None)

    @answers(Action.clear_cache)
    def on_clear_cache(self, **_: Any) -> Any:
        self._station.known_tags.clear()
        return call_result.ClearCache(status="Accepted")

    @answers(Action.data_transfer)
    def on_data_transfer(self, vendor_id: str, message_id: str | None = None, **_: Any) -> Any:
        if vendor_id != self._station.make.vendor:
            return call_result.DataTransfer(status="UnknownVendorId")
        if message_id != "Ping":
            return call_result.DataTransfer(status="UnknownMessageId")
        return call_result.DataTransfer(status="Accepted", data="Pong")

    @answers(Action.set_charging_profile)
    def on_set_charging_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any], **_: Any) -> Any:
        status = self._station.set_charging_profile(connector_id, cs_charging_profiles)
        return call_result.SetChargingProfile(status=status)

    @answers(Action.clear_charging_profile)
    def on_clear_charging_profile(
        self,
        id: int | None = None,
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
        **_: Any,
    ) -> Any:
        status = self._station.plans.clear(id, connector_id, charging_profile_purpose, stack_level)
        return call_result.ClearChargingProfile(status=status)

    @answers(Action.get_composite_schedule)
    def on_get_composite_schedule(
        self, connector_id: int, duration: int, charging_rate_unit: str | None = None, **_: Any
    ) -> Any:
        found = self._station.composite_schedule(connector_id, duration, charging_rate_unit or "W")
        if found is None:
            return call_result.GetCompositeSchedule(status="Rejected")
        starts, schedule = found
        return call_result.GetCompositeSchedule(
            status="Accepted", connector_id=connector_id, schedule_start=starts, charging_schedule=schedule
        )

    @answers(Action.send_local_list)
    def on_send_local_list(
        self,
        list_version: int,
        update_type: str,
        local_authorization_list: list[dict[str, Any]] | None = None,
        **_: Any,
    ) -> Any:
        status = self._station.local_list.update(list_version, update_type, local_authorization_list or [])
        return call_result.SendLocalList(status=status)

    @answers(Action.get_local_list_version)
    def on_get_local_list_version(self, **_: Any) -> Any:
        return call_result.GetLocalListVersion(list_version=self._station.local_list.version)
