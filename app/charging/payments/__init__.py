"""Who pays for a charging session, what is held for it before it starts, and how it is paid at its end."""
