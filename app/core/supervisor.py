"""placeholder"""
def run(config):  # type: ignore
    return 0
