"""The child process of `embedded.EmbeddedServer`: llama.cpp behind HTTP, until the parent goes away.

It runs as a file, by path, so that it imports only xllamacpp, and neither limner nor the parent's __main__. Its
settings come as one line of JSON on stdin, not as arguments or variables, because the list of processes would show the
key.
"""

import json
import os
import signal
import sys
import threading
import time


def main() -> None:
    """Load the model, print a line "KEY ADDRESS", and serve until stdin closes or SIGTERM comes."""
    # Ctrl-C reaches every process of the terminal; the parent decides when this one stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    orders = json.loads(sys.stdin.readline() or "null")
    if orders is None:  # the parent was gone before it sent the settings
        return
    sys.path[:] = orders["path"]
    server = _load(orders)
    sys.stdout.write(f"{orders['key']} {server.listening_address}\n")
    sys.stdout.flush()
    threading.Thread(target=_leave_at_end_of_input, daemon=True).start()
    # A process forked by the parent may keep the pipe open; a new parent id shows that the parent is gone.
    # (Not PR_SET_PDEATHSIG: it fires when the parent's *thread* that started this process ends.)
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _leave_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # not sys.exit: an orderly shutdown waits for requests that nobody will read


def _load(orders):
    import xllamacpp

    params = xllamacpp.CommonParams()  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without stubs
    params.model.path = orders["model"]
    if orders["mmproj"]:
        params.mmproj.path = orders["mmproj"]
    params.model_alias = {orders["alias"]}  # else /v1/models shows the path of the file
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [orders["key"]]
    params.n_parallel = orders["slots"]
    params.n_ctx = orders["slots"] * orders["context"]  # n_ctx is the total, split over the slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = orders["threads"]
    params.n_threads_http = orders["slots"] + 2
    devices = xllamacpp.get_device_info()  # pyright: ignore[reportAttributeAccessIssue]
    if not orders["gpu"] or not any("GPU" in str(device["type"]) for device in devices):
        params.n_gpu_layers = 0
        params.mmproj_use_gpu = False
        params.fit_params = False  # else it loads the model twice to see whether it fits a GPU
    params.enable_reasoning = 0  # an answer that is thought aloud first would be cut off before it begins
    params.cache_ram_mib = 256
    params.ui = params.endpoint_slots = False
    params.warmup = False  # the first prompt warms it up anyway, and the first word comes sooner
    params.verbosity = 1  # errors only
    return xllamacpp.Server(params)  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    main()
