"""One timeline per session: messages, meter, statuses, authorisation, money and actions on one time axis."""
