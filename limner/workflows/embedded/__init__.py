"""The embedded model: llama.cpp as a server on the loopback."""
