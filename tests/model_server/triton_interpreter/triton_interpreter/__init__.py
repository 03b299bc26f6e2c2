"""A "cpu" backend for Triton that compiles nothing: with TRITON_INTERPRET=1 kernels run as numpy, line by line.

vLLM looks for such a backend before it takes model runner V2, the one that GPUs get, on a CPU. Put the folder above
this one on PYTHONPATH; Triton finds it by its entry point.
"""
