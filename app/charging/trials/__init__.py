"""A draft of a tariff tried on the sessions that were charged, before it is saved ("Tariff preview").

asking   what an admin does: ask for a trial, cancel it
taking   which sessions are concerned, and what each of them measured
running  batch by batch, whoever comes: nothing is lost when a worker dies
results  what came of it, for the screen and the CSV
"""
