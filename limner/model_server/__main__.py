"""`python -m limner.model_server`, the same as `limner-model-server`."""

from limner.model_server.cli import main

main()
