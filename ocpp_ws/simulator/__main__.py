"""`python -m ocpp_ws.simulator`: the simulator without the rest of the product."""

from ocpp_ws.simulator.cli import simulate

if __name__ == "__main__":
    simulate()
