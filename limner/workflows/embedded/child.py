"""The child process of `embedded.EmbeddedServer`: llama.cpp behind HTTP, until the parent goes away.

Run as a file, by path, so that it imports xllamacpp alone: neither limner nor the parent's __main__. Its orders come
as one line of JSON on stdin, not as arguments or variables, because those show in the list of processes and the
orders hold the key.
"""

import json
import os
import signal
import sys
import threading
import time


def main() -> None:
    """Load the model, answer with a line "KEY ADDRESS", serve until stdin closes or SIGTERM comes."""
    # Ctrl-C reaches every process of the terminal; the parent decides when this one may stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    orders = json.loads(sys.stdin.readline() or "null")
    if orders is None:  # the parent was gone before it could ask for anything
        return
    sys.path[:] = orders["path"]
    server = _load(orders)
    sys.stdout.write(f"{orders['key']} {server.listening_address}\n")
    sys.stdout.flush()
    threading.Thread(target=_leave_at_end_of_input, daemon=True).start()
    # A process that the parent forked may hold the pipe open after it; being adopted shows that the parent is gone.
    # (Not PR_SET_PDEATHSIG: it fires when the parent's *thread* that started this process ends.)
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _leave_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # not sys.exit: taking the server down in order waits for requests that nobody will read


def _load(orders):
    import xllamacpp

    params = xllamacpp.CommonParams()  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without stubs
    params.model.path = orders["model"]
    params.model_alias = {orders["alias"]}  # else /v1/models tells the path of the file
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [orders["key"]]
    params.n_parallel = orders["slots"]
    params.n_ctx = orders["slots"] * orders["context"]  # n_ctx is the total, split over the slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = orders["threads"]
    params.n_threads_http = orders["slots"] + 2
    params.n_gpu_layers = 0
    params.cache_ram_mib = 256
    params.ui = params.endpoint_slots = False
    params.fit_params = False  # it would load the model once more to see whether it fits a GPU
    params.warmup = False  # the first prompt warms it as well, and the first word comes sooner
    params.verbosity = 1  # errors only
    return xllamacpp.Server(params)  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    main()
