"""`python -m limner.model_server`, the same as `limner-model-server`."""

from limner.model_server.cli import main

if __name__ == "__main__":  # the vllm engine's processes import this module
    main()
